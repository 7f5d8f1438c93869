-- measure: A1
-- title: What was taken off
-- question: How many values of which field were dropped, coarsened or pseudonymised, by which policy?
-- asked by: auditor
-- basis: received
-- suppression: k
-- dimensions: report, field, action, schema_version, policy_version, agent_version
-- values: values 1, reports {report}
-- columns: values 1, reports {report}
-- primary: values
-- cube: report, field, action
-- cube: field, action
-- cube: field, action, agent_version
-- cube: report, field, action, schema_version, policy_version

-- cells
-- The flags go by the hour (day) of the window and the type of report, so these two are the key: of the remarks of one
-- combination in a report, that report carries its device's flag at most once. The third number of an agent's version
-- is cut off; managed devices keep it elsewhere.
SELECT
  received AS hour, tier, report, field, action, schema_version, policy_version,
  regexp_replace(agent_version, '^(\d+\.\d+)\..*$', '\1') AS agent_version, "values", reports,
  NULL::VARCHAR AS device, [report, date_trunc('{grain}', hour)::VARCHAR] AS key,
  report_{grain} AS key_first, report_{grain} AS report_first
FROM remarks

-- answer
SELECT {asked}, "values", reports
FROM cells
