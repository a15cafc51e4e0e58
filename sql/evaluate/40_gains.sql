-- What each step of training gained (in points of accuracy), with the 95 % interval of the paired
-- differences: both models answered the same scenarios of the same users.
WITH steps AS (
    SELECT column1 AS before, column2 AS after
    FROM (VALUES ('base', 'sft'), ('sft', 'dpo'), ('base', 'dpo'))
),
measured AS (
    SELECT model, avg(CASE WHEN is_right THEN 100.0 ELSE 0.0 END) AS accuracy
    FROM answers
    GROUP BY model
),
differences AS (
    SELECT s.before, s.after, b.accuracy - a.accuracy AS gain
    FROM steps AS s
    JOIN resamples AS a ON a.model = s.before
    JOIN resamples AS b ON b.model = s.after AND b.resample = a.resample
)
SELECT
    d.before,
    d.after,
    round(max(b.accuracy) - max(a.accuracy), 1) AS gain,
    round(approx_percentile_cont(0.025) WITHIN GROUP (ORDER BY d.gain), 1) AS low,
    round(approx_percentile_cont(0.975) WITHIN GROUP (ORDER BY d.gain), 1) AS high
FROM differences AS d
JOIN measured AS a ON a.model = d.before
JOIN measured AS b ON b.model = d.after
GROUP BY d.before, d.after
ORDER BY d.before, d.after DESC;
