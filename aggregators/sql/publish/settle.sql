-- What was looked at has not changed any more. Rows that the follower adds meanwhile are not in this transaction's
-- view, and stay.
INSERT INTO changed_days
SELECT DISTINCT changed.basis, date_trunc('day', changed.hour) AS day
FROM changed
SEMI JOIN looked ON looked.grain = 'hour' AND looked.basis = changed.basis AND looked.start = changed.hour
EXCEPT
SELECT basis, day FROM changed_days;

DELETE FROM changed USING looked
WHERE looked.grain = 'hour' AND looked.basis = changed.basis AND looked.start = changed.hour;

DELETE FROM changed_days USING looked
WHERE looked.grain = 'day' AND looked.basis = changed_days.basis AND looked.start = changed_days.day;
