-- By how often an item had been chosen: in all events before the scenario's, each item counted once
-- more, so that none is impossible.
--
-- inputs: scenarios, interactions
WITH shown AS (
    SELECT
        scenario_id,
        ts,
        unnest(exposure) AS item_id,
        unnest(generate_series(1, choice_count)) AS place
    FROM public.scenarios
    WHERE split = 'eval' AND dataset = @dataset
),
counted AS (
    SELECT s.scenario_id, s.place, 1.0 + count(i.item_id) AS times
    FROM shown AS s
    LEFT JOIN interactions AS i ON i.item_id = s.item_id AND i.ts < s.ts
    GROUP BY s.scenario_id, s.place
)
SELECT
    'popularity' AS baseline,
    scenario_id,
    place,
    times AS score,
    times / sum(times) OVER (PARTITION BY scenario_id) AS prob
FROM counted;
