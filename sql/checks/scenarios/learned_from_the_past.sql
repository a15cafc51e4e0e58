-- In time_safe mode, factors and word weights come from before the scenario.
SELECT s.scenario_id, s.ts, w.data_until
FROM sampled AS s
JOIN windows AS w ON w.window_id = s.window_id
WHERE @mode = 'time_safe' AND (w.data_until IS NULL OR w.data_until > s.ts);
