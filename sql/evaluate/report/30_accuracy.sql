-- Accuracy on held-out scenarios in %, with its 95 % interval over users; the share of answers without
-- a letter of the scenario (in %) and scenarios left out for an error; negative log-likelihood (nats),
-- Brier score, expected calibration error (10 bins, in %) and rank of the truth.
WITH bins AS (
    SELECT
        model,
        method,
        least(floor(10 * top_prob), 9) AS bin,
        count(*) AS scenarios,
        abs(sum(top_prob) - sum(top_hit)) AS off
    FROM results
    WHERE top_prob IS NOT NULL
    GROUP BY model, method, bin
),
calibration AS (
    SELECT model, method, sum(off) / sum(scenarios) AS ece FROM bins GROUP BY model, method
),
failures AS (
    SELECT model, method, count(DISTINCT scenario_id) AS failed
    FROM evaluations
    WHERE error IS NOT NULL
    GROUP BY model, method
)
SELECT
    r.model,
    r.method,
    count(DISTINCT r.user_id) AS users,
    count(*) AS scenarios,
    max(f.failed) AS failed,
    round(100 * avg(r.hit), 1) AS accuracy,
    round(max(i.low), 1) AS low,
    round(max(i.high), 1) AS high,
    round(100 * avg(r.invalid), 2) AS invalid,
    round(-avg(ln(r.truth_prob)), 3) AS nll,
    round(avg(r.brier), 3) AS brier,
    round(100 * max(c.ece), 1) AS ece,
    round(avg(r.rank), 2) AS rank
FROM results AS r
JOIN intervals AS i
    ON i.model = r.model AND i.method = r.method AND i.dataset IS NULL AND i.choice_count IS NULL
LEFT JOIN calibration AS c ON c.model = r.model AND c.method = r.method
LEFT JOIN failures AS f ON f.model = r.model AND f.method = r.method
GROUP BY r.model, r.method
ORDER BY accuracy DESC, r.model, r.method;
