{relation} AS (
  SELECT {asked}, map_from_entries(list(struct_pack(bucket := bucket, observations := observations))) AS {histogram}
  FROM (
    SELECT {asked}, entry.key AS bucket, {added} AS observations
    FROM (SELECT {asked}, unnest(map_entries({histogram})) AS entry FROM chosen)
    GROUP BY ALL
  )
  GROUP BY {asked}
),
