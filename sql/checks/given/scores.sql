-- The scores that a run goes on from belong to decisions, stand once each, and have a
-- probability an option.
SELECT c.scenario_id, c.source, c.draw, count(*) AS times, max(cardinality(c.probs)) AS letters, max(s.choice_count) AS choice_count
FROM scores AS c
LEFT JOIN scenarios AS s ON s.scenario_id = c.scenario_id
LEFT JOIN decisions AS d ON d.scenario_id = c.scenario_id AND d.source = c.source AND d.draw = c.draw
GROUP BY c.scenario_id, c.source, c.draw
HAVING count(*) > 1 OR count(d.draw) = 0 OR max(cardinality(c.probs)) <> max(s.choice_count);
