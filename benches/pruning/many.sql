-- Ten million invented scores: twenty a scenario, as many as ten decisions of two models have.
--
-- output: many
-- inputs: seeds
-- key: scenario_id
WITH drawn AS (
    SELECT
        scenario_id,
        source,
        draw,
        uniform(0, 'bench', scenario_id, source, draw) AS share
    FROM seeds
    CROSS JOIN (SELECT value AS draw FROM generate_series(0, 9))
    CROSS JOIN (VALUES ('strong'), ('weak')) AS sources (source)
)
SELECT
    scenario_id,
    source,
    draw,
    make_array(share, 1 - share) AS probs,
    entropy(make_array(share, 1 - share)) AS entropy,
    CASE WHEN share > 0.5 THEN 'A' ELSE 'B' END AS behavior
FROM drawn
ORDER BY scenario_id, source, draw;
