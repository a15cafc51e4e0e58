-- Nothing is offered before it was available, the chosen item aside.
SELECT s.scenario_id, o.item_id, c.available_at, s.ts
FROM scenarios AS s
JOIN options AS o ON o.scenario_id = s.scenario_id AND o.item_id <> s.item_id
JOIN catalog AS c ON c.item_id = o.item_id
WHERE c.available_at > s.ts;
