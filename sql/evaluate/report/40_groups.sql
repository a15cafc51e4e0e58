-- The same accuracy by dataset and by number of choices, where there is more than one.
WITH grouped AS (
    SELECT model, method, dataset, choice_count, count(*) AS scenarios, 100 * avg(hit) AS accuracy
    FROM results
    GROUP BY GROUPING SETS ((model, method, dataset), (model, method, choice_count))
)
SELECT
    g.dataset,
    g.choice_count,
    g.model,
    g.method,
    g.scenarios,
    round(g.accuracy, 1) AS accuracy,
    round(i.low, 1) AS low,
    round(i.high, 1) AS high
FROM grouped AS g
JOIN intervals AS i
    ON i.model = g.model
    AND i.method = g.method
    AND (i.dataset IS NOT DISTINCT FROM g.dataset)
    AND (i.choice_count IS NOT DISTINCT FROM g.choice_count)
WHERE (g.dataset IS NOT NULL AND (SELECT count(DISTINCT dataset) FROM results) > 1)
    OR (g.choice_count IS NOT NULL AND (SELECT count(DISTINCT choice_count) FROM results) > 1)
ORDER BY g.dataset, g.choice_count, accuracy DESC, g.model, g.method;
