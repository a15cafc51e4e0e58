-- Time windows with about equally many events that can be sampled, cut at full hours. Factors and word
-- weights used in a window are computed from what happened before it began, so that
-- nothing a scenario shows was learned from its future. In `paper` mode there is one
-- window and it sees the whole log, as published.
CREATE OR REPLACE TABLE timeline AS
SELECT
    hour,
    events,
    (sum(events) OVER (ORDER BY hour) - events) / CAST(sum(events) OVER () AS DOUBLE) AS share_before
FROM (
    SELECT date_trunc('hour', ts) AS hour, count(*) AS events
    FROM interactions
    WHERE impressions IS NOT NULL OR (SELECT count(impressions) FROM interactions) = 0
    GROUP BY 1
);

CREATE OR REPLACE TABLE windows AS
SELECT
    CAST(row_number() OVER (ORDER BY starts_at) AS BIGINT) - 1 AS window_id,
    starts_at,
    CASE WHEN @mode = 'time_safe' THEN starts_at END AS data_until
FROM (
    SELECT min(hour) AS starts_at
    FROM timeline
    GROUP BY CASE WHEN @mode = 'time_safe' THEN floor(share_before * @windows) END
);
