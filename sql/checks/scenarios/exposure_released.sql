-- Nothing is offered before it was available, the chosen item and what the log says was
-- shown aside.
SELECT s.scenario_id, o.item_id, c.available_at, s.ts
FROM scenarios AS s
JOIN exposures AS e ON e.scenario_id = s.scenario_id AND NOT e.logged
JOIN options AS o ON o.scenario_id = s.scenario_id AND o.item_id <> s.item_id
JOIN catalog AS c ON c.item_id = o.item_id
WHERE c.available_at > s.ts;
