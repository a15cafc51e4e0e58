-- How much better than @against each is on the same scenarios, in points of accuracy, with the 95 %
-- interval of the paired difference over users. One that includes 0 shows no difference.
WITH paired AS (
    SELECT r.model, r.method, r.user_id, sum(r.hit - a.hit) AS difference, count(*) AS scenarios
    FROM results AS r
    JOIN results AS a ON a.scenario_id = r.scenario_id AND concat(a.model, '/', a.method) = @against
    WHERE concat(r.model, '/', r.method) <> @against
    GROUP BY r.model, r.method, r.user_id
),
resamples AS (
    SELECT
        t.resample,
        p.model,
        p.method,
        100 * sum(t.times * p.difference) / sum(t.times * p.scenarios) AS difference
    FROM resampled_users AS t
    JOIN paired AS p ON p.user_id = t.user_id
    GROUP BY t.resample, p.model, p.method
),
intervals AS (
    SELECT
        model,
        method,
        percentile_cont(0.025) WITHIN GROUP (ORDER BY difference) AS low,
        percentile_cont(0.975) WITHIN GROUP (ORDER BY difference) AS high
    FROM resamples
    GROUP BY model, method
)
SELECT
    p.model,
    p.method,
    @against AS against,
    sum(p.scenarios) AS scenarios,
    round(100 * sum(p.difference) / sum(p.scenarios), 1) AS difference,
    round(max(i.low), 1) AS low,
    round(max(i.high), 1) AS high
FROM paired AS p
JOIN intervals AS i ON i.model = p.model AND i.method = p.method
GROUP BY p.model, p.method
ORDER BY difference DESC, p.model, p.method;
