-- By the place alone: how often the training scenarios of the same length have their truth there,
-- each place counted once more, so that none is impossible.
--
-- inputs: scenarios
WITH places AS (
    SELECT scenario_id, truth, choice_count, unnest(generate_series(1, choice_count)) AS place
    FROM scenarios
    WHERE split = 'eval'
),
known AS (
    SELECT choice_count, letter_index(truth) AS place, count(*) AS times
    FROM scenarios
    WHERE split = 'train'
    GROUP BY choice_count, truth
),
counted AS (
    SELECT p.scenario_id, p.place, 1.0 + coalesce(k.times, 0) AS times
    FROM places AS p
    LEFT JOIN known AS k ON k.choice_count = p.choice_count AND k.place = p.place
)
SELECT
    'position' AS baseline,
    scenario_id,
    place,
    times AS score,
    times / sum(times) OVER (PARTITION BY scenario_id) AS prob
FROM counted;
