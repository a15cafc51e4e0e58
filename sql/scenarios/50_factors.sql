-- Collaborative factors, one set a window: the leading singular vectors of the
-- degree-normalised user-item matrix of the events before the window. Of no use, and so
-- empty, where the log tells what was shown.
CREATE OR REPLACE TABLE factors AS
SELECT array_agg(factors ORDER BY window_id) AS by_window
FROM (
    SELECT
        w.window_id,
        factorize(
            CAST(stable_hash(0, e.user_id) >> 1 AS BIGINT),
            e.item_index,
            (SELECT count(*) FROM catalog),
            @factor_rank
        ) AS factors
    FROM windows AS w
    LEFT JOIN (
        SELECT i.user_id, c.item_index, i.ts
        FROM interactions AS i
        JOIN catalog AS c ON c.item_id = i.item_id
        WHERE (SELECT count(impressions) FROM interactions) = 0
    ) AS e ON w.data_until IS NULL OR e.ts < w.data_until
    GROUP BY w.window_id
);
