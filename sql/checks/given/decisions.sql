-- The decisions that a run goes on from belong to scenarios and stand once each.
SELECT d.scenario_id, d.source, d.draw, count(*) AS times
FROM decisions AS d
LEFT JOIN scenarios AS s ON s.scenario_id = d.scenario_id
GROUP BY d.scenario_id, d.source, d.draw
HAVING count(*) > 1 OR count(s.scenario_id) = 0;
