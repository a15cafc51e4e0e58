-- Sampled accuracy (in %) of each model with its 95 % interval over users, the share of decisions
-- without a letter of the scenario, and what guessing at random would reach.
WITH intervals AS (
    SELECT
        model,
        approx_percentile_cont(0.025) WITHIN GROUP (ORDER BY accuracy) AS low,
        approx_percentile_cont(0.975) WITHIN GROUP (ORDER BY accuracy) AS high
    FROM resamples
    GROUP BY model
)
SELECT
    a.model,
    count(DISTINCT a.user_id) AS users,
    count(DISTINCT a.scenario_id) AS scenarios,
    round(avg(CASE WHEN a.is_right THEN 100.0 ELSE 0.0 END), 1) AS accuracy,
    round(max(i.low), 1) AS low,
    round(max(i.high), 1) AS high,
    round(avg(CASE WHEN a.is_valid THEN 0.0 ELSE 100.0 END), 2) AS invalid,
    round(avg(100.0 / a.choice_count), 1) AS random
FROM answers AS a
JOIN intervals AS i ON i.model = a.model
GROUP BY a.model
ORDER BY accuracy;
