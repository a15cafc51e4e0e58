-- The sampled interactions: each becomes one scenario. Only interactions with at least
-- @earlier_min strictly earlier ones of the same user qualify; of a log that tells what
-- was shown, only those for which it does.
CREATE OR REPLACE TABLE drawn AS
SELECT user_id, item_id, item_index, ts, row, earlier, impressions
FROM events
WHERE earlier >= @earlier_min
    AND (impressions IS NOT NULL OR (SELECT count(impressions) FROM interactions) = 0)
ORDER BY stable_hash(@seed, 'sample', user_id, row)
LIMIT @scenarios;

-- How many items were available at each sampled time.
CREATE OR REPLACE TABLE horizons AS
SELECT at AS ts, horizon
FROM (
    SELECT at, marks, sum(items) OVER (ORDER BY at NULLS FIRST) AS horizon
    FROM (
        SELECT at, sum(items) AS items, sum(marks) AS marks
        FROM (
            SELECT available_at AS at, 1 AS items, 0 AS marks FROM catalog
            UNION ALL
            SELECT ts, 0, 1 FROM drawn
        )
        GROUP BY at
    )
)
WHERE marks > 0;

-- Split by user: all scenarios of a user fall on one side. Split by time: the end of
-- the timeline is held out.
CREATE OR REPLACE TABLE sampled AS
SELECT
    lpad(to_hex(stable_hash(@seed, @dataset, @mode, d.user_id, d.item_id, d.row)), 16, '0') AS scenario_id,
    d.user_id,
    d.item_id,
    d.item_index,
    d.ts,
    d.row,
    d.earlier,
    d.impressions,
    h.horizon,
    w.window_id,
    CASE
        WHEN @split_by = 'time' AND d.ts >= c.cutoff THEN 'eval'
        WHEN @split_by = 'user' AND uniform(@seed, 'split', d.user_id) < @eval_share THEN 'eval'
        ELSE 'train'
    END AS split
FROM drawn AS d
JOIN horizons AS h ON h.ts = d.ts
CROSS JOIN (SELECT min(hour) AS cutoff FROM timeline WHERE share_before >= 1 - @eval_share) AS c
JOIN (
    SELECT d.ts, max(w.window_id) AS window_id
    FROM (SELECT DISTINCT ts FROM drawn) AS d
    JOIN windows AS w ON w.starts_at <= d.ts
    GROUP BY d.ts
) AS w ON w.ts = d.ts;
