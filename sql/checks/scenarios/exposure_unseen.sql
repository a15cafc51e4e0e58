-- Nothing is offered that the user had interacted with before or at the same time, the
-- chosen item and what the log says was shown aside.
SELECT s.scenario_id, o.item_id, i.ts, s.ts AS scenario_ts
FROM scenarios AS s
JOIN exposures AS e ON e.scenario_id = s.scenario_id AND NOT e.logged
JOIN options AS o ON o.scenario_id = s.scenario_id AND o.item_id <> s.item_id
JOIN interactions AS i ON i.user_id = s.user_id AND i.item_id = o.item_id
WHERE i.ts <= s.ts;
