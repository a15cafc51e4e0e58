-- Every option is as likely as the others.
--
-- inputs: scenarios
SELECT
    'random' AS baseline,
    scenario_id,
    unnest(generate_series(1, choice_count)) AS place,
    0.0 AS score,
    1.0 / choice_count AS prob
FROM scenarios
WHERE split = 'eval';
