-- A thousand bootstrap resamples of the held-out users, the same for all models: whole users are
-- drawn with replacement, since a user's scenarios resemble each other.
CREATE OR REPLACE TABLE resampled_users AS
WITH users AS (
    SELECT user_id, row_number() OVER (ORDER BY user_id) AS number
    FROM (SELECT DISTINCT user_id FROM results)
),
drawn AS (
    SELECT
        resample,
        draw_int(1, (SELECT max(number) FROM users), @seed, 'bootstrap', resample, slot.number) AS number
    FROM users AS slot
    CROSS JOIN (SELECT unnest(generate_series(1, 1000)) AS resample) AS resamples
)
SELECT d.resample, u.user_id, count(*) AS times
FROM drawn AS d
JOIN users AS u ON u.number = d.number
GROUP BY d.resample, u.user_id;

-- Accuracy in %, over all scenarios (dataset and choice_count null), by dataset, and by number
-- of choices, with its 95 % interval.
CREATE OR REPLACE TABLE intervals AS
WITH by_user AS (
    SELECT model, method, dataset, choice_count, user_id, sum(hit) AS hits, count(*) AS scenarios
    FROM results
    GROUP BY model, method, dataset, choice_count, user_id
),
resamples AS (
    SELECT
        t.resample,
        b.model,
        b.method,
        b.dataset,
        b.choice_count,
        100 * sum(t.times * b.hits) / sum(t.times * b.scenarios) AS accuracy
    FROM resampled_users AS t
    JOIN by_user AS b ON b.user_id = t.user_id
    GROUP BY GROUPING SETS (
        (t.resample, b.model, b.method),
        (t.resample, b.model, b.method, b.dataset),
        (t.resample, b.model, b.method, b.choice_count)
    )
)
SELECT
    model,
    method,
    dataset,
    choice_count,
    percentile_cont(0.025) WITHIN GROUP (ORDER BY accuracy) AS low,
    percentile_cont(0.975) WITHIN GROUP (ORDER BY accuracy) AS high
FROM resamples
GROUP BY model, method, dataset, choice_count;
