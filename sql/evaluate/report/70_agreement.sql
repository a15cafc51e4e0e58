-- How alike others' distributions are to those of @against on the same scenarios: half the sum of
-- differences, its mean and largest (0 the same, 1 nothing in common), and how often the likeliest
-- option is the same (in %). By method direct, what a precision costs: --against fp32/direct.
WITH options AS (
    SELECT
        concat(model, '/', method) AS name,
        model,
        method,
        scenario_id,
        unnest(probs) AS prob,
        unnest(generate_series(1, cardinality(probs))) AS place
    FROM (
        SELECT model, method, scenario_id, mean_probs(probs) AS probs
        FROM evaluations
        WHERE error IS NULL
        GROUP BY model, method, scenario_id
    )
),
ranked AS (
    SELECT
        *,
        row_number() OVER (PARTITION BY name, scenario_id ORDER BY prob DESC, place) AS rank
    FROM options
),
compared AS (
    SELECT
        r.model,
        r.method,
        r.scenario_id,
        sum(abs(r.prob - a.prob)) / 2 AS distance,
        max(CASE WHEN r.rank = 1 AND a.rank = 1 THEN 1.0 ELSE 0.0 END) AS same
    FROM ranked AS r
    JOIN ranked AS a ON a.scenario_id = r.scenario_id AND a.place = r.place AND a.name = @against
    WHERE r.name <> @against
    GROUP BY r.model, r.method, r.scenario_id
)
SELECT
    model,
    method,
    @against AS against,
    count(*) AS scenarios,
    round(avg(distance), 4) AS mean_distance,
    round(max(distance), 4) AS largest_distance,
    round(100 * avg(same), 1) AS same_likeliest
FROM compared
GROUP BY model, method
ORDER BY mean_distance, model, method;
