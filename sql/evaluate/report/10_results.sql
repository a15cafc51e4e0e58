-- Every evaluated model, method and baseline on every held-out scenario: the share of its answers
-- that are the truth, the share without a letter of the scenario, and by its mean distribution over
-- the options: the truth's probability and rank, the Brier score, and how sure and how right its
-- likeliest option is. Of a measure that needs a distribution there is none without one.
CREATE OR REPLACE TABLE results AS
WITH answered AS (
    SELECT
        model,
        method,
        scenario_id,
        avg(CASE WHEN hit THEN 1.0 ELSE 0.0 END) AS hit,
        avg(CASE WHEN letter IS NULL THEN 1.0 ELSE 0.0 END) AS invalid,
        mean_probs(probs) AS probs
    FROM evaluations
    WHERE error IS NULL
    GROUP BY model, method, scenario_id
    UNION ALL
    SELECT baseline, 'baseline', scenario_id, hit, 0.0, probs FROM baselines
),
options AS (
    SELECT
        model,
        method,
        scenario_id,
        unnest(probs) AS prob,
        unnest(generate_series(1, cardinality(probs))) AS place
    FROM answered
),
ranked AS (
    SELECT
        o.*,
        o.place = letter_index(s.truth) AS is_true,
        rank() OVER (PARTITION BY o.model, o.method, o.scenario_id ORDER BY o.prob DESC) AS rank,
        count(*) OVER (PARTITION BY o.model, o.method, o.scenario_id, o.prob) AS ties
    FROM options AS o
    JOIN scenarios AS s ON s.scenario_id = o.scenario_id
),
measured AS (
    SELECT
        model,
        method,
        scenario_id,
        max(CASE WHEN is_true THEN prob END) AS truth_prob,
        max(CASE WHEN is_true THEN rank + (ties - 1) / 2.0 END) AS rank,
        sum(power(prob - CASE WHEN is_true THEN 1.0 ELSE 0.0 END, 2)) AS brier,
        max(prob) AS top_prob,
        max(CASE WHEN is_true AND rank = 1 THEN 1.0 / ties ELSE 0.0 END) AS top_hit
    FROM ranked
    GROUP BY model, method, scenario_id
)
SELECT
    a.model,
    a.method,
    s.dataset,
    s.choice_count,
    -- Users of two datasets may have the same id.
    concat(s.dataset, '/', s.user_id) AS user_id,
    a.scenario_id,
    a.hit,
    a.invalid,
    m.truth_prob,
    coalesce(m.rank, b.rank) AS rank,
    m.brier,
    m.top_prob,
    m.top_hit
FROM answered AS a
JOIN scenarios AS s ON s.scenario_id = a.scenario_id
LEFT JOIN measured AS m
    ON m.model = a.model AND m.method = a.method AND m.scenario_id = a.scenario_id
LEFT JOIN baselines AS b
    ON a.method = 'baseline' AND b.baseline = a.model AND b.scenario_id = a.scenario_id;
