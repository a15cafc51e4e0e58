-- A thousand bootstrap resamples of the held-out users, the same for all models: whole users are
-- drawn with replacement, since a user's scenarios resemble each other.
CREATE OR REPLACE TABLE resamples AS
WITH numbered AS (
    SELECT user_id, row_number() OVER (ORDER BY user_id) AS number
    FROM (SELECT DISTINCT user_id FROM answers)
),
drawn AS (
    SELECT
        resample,
        draw_int(
            1, (SELECT max(number) FROM numbered), @seed, 'bootstrap', resample, slot.number
        ) AS number
    FROM numbered AS slot
    CROSS JOIN (SELECT unnest(generate_series(1, 1000)) AS resample) AS resamples
),
by_user AS (
    SELECT
        user_id,
        model,
        sum(CASE WHEN is_right THEN 100.0 ELSE 0.0 END) AS hits,
        count(*) AS answers
    FROM answers
    GROUP BY user_id, model
)
SELECT d.resample, b.model, sum(b.hits) / sum(b.answers) AS accuracy
FROM drawn AS d
JOIN numbered AS n ON n.number = d.number
JOIN by_user AS b ON b.user_id = n.user_id
GROUP BY d.resample, b.model;
