-- What can be guessed without a language model, one row a held-out scenario. The option of the
-- highest score is taken; of several with that score, each as often as the others.
--
-- output: baselines
-- inputs: scenarios
WITH truths AS (
    SELECT s.*, s.place = letter_index(t.truth) AS is_true
    FROM scored AS s
    JOIN scenarios AS t ON t.scenario_id = s.scenario_id
),
compared AS (
    SELECT
        *,
        rank() OVER (PARTITION BY baseline, scenario_id ORDER BY score DESC) AS rank,
        count(*) OVER (PARTITION BY baseline, scenario_id, score) AS ties
    FROM truths
)
SELECT
    baseline,
    scenario_id,
    max(CASE WHEN NOT is_true THEN 0.0 WHEN rank = 1 THEN 1.0 / ties ELSE 0.0 END) AS hit,
    max(CASE WHEN is_true THEN rank + (ties - 1) / 2.0 END) AS rank,
    CASE WHEN count(prob) = count(*) THEN array_agg(prob ORDER BY place) END AS probs
FROM compared
GROUP BY baseline, scenario_id
ORDER BY baseline, scenario_id;
