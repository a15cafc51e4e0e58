-- Everything remembered happened strictly before the scenario, and is the user's own.
SELECT s.scenario_id, h.item_id, h.ts, s.ts AS scenario_ts
FROM scenarios AS s
JOIN history AS h ON h.scenario_id = s.scenario_id
WHERE h.ts >= s.ts OR h.user_id <> s.user_id;
