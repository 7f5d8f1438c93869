-- measure: F2
-- title: Consent and disclosure behind fallbacks, as claimed
-- question: Which fallbacks had consent and were disclosed, as the device claims, and how many were silent?
-- asked by: auditor, analyst
-- basis: window
-- suppression: k
-- dimensions: consent, disclosed, actual_route, rule
-- values: tasks {task}
-- columns: tasks {task}, share 1, band none
-- primary: tasks
-- cube: consent, disclosed; part fallbacks
-- cube: consent, disclosed, actual_route; part fallbacks
-- cube: rule; part violations; banded; day only

-- cells
SELECT
  hour, tier, 'fallbacks' AS part, consent, disclosed, actual_route, '-' AS rule, tasks,
  device, key, key_{grain} AS key_first, report_{grain} AS report_first
FROM fallbacks
UNION ALL
SELECT
  hour, tier, 'violations', '-', '-', '-', rule, tasks,
  device, key, key_{grain}, report_{grain}
FROM keyed_violation_rows
WHERE rule IN ('consent_not_asked', 'consent_denied', 'undisclosed')

-- answer
SELECT
  {asked}, tasks,
  tasks / nullif(sum(tasks) OVER (PARTITION BY {within:consent,disclosed,actual_route,rule}), 0) AS share, band
FROM cells
