-- `remarked`: the reports of all kinds that were counted for the first time, with their remarks.

INSERT INTO remarks
WITH each AS (
  SELECT
    received, hour, tier, report, schema_version, policy_version, agent_version, first_of_hour, first_of_day,
    unnest(remarks) AS remark
  FROM remarked
)
SELECT
  segment_now(), received, hour, tier, report, schema_version, policy_version, agent_version,
  remark.field, remark.action, coalesce(sum(counted(remark."values")), 0), count(*),
  count(*) FILTER (first_of_hour), count(*) FILTER (first_of_day)
FROM each
GROUP BY
  received, hour, tier, report, schema_version, policy_version, agent_version, remark.field, remark.action;
