-- A scenario stands once.
SELECT scenario_id, count(*) AS times
FROM scenarios
GROUP BY scenario_id
HAVING count(*) > 1;
