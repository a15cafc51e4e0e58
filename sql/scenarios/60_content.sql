-- TF-IDF rows of the items' texts, one set a window: a word's weight counts the items
-- that were available when the window began (all items in `paper` mode). Empty, like the
-- factors, where the log tells what was shown.
CREATE OR REPLACE TABLE words AS
SELECT item_index, available_at, term, count(*) AS occurrences
FROM (
    SELECT item_index, available_at, unnest(tokens(text)) AS term
    FROM catalog
    WHERE (SELECT count(impressions) FROM interactions) = 0
)
GROUP BY item_index, available_at, term;

CREATE OR REPLACE TABLE content AS
WITH sizes AS (
    SELECT w.window_id, count(*) AS items
    FROM windows AS w
    JOIN catalog AS c
        ON w.data_until IS NULL OR c.available_at IS NULL OR c.available_at <= w.data_until
    GROUP BY w.window_id
),
frequencies AS (
    SELECT w.window_id, t.term, count(*) AS items
    FROM windows AS w
    JOIN words AS t
        ON w.data_until IS NULL OR t.available_at IS NULL OR t.available_at <= w.data_until
    GROUP BY w.window_id, t.term
)
SELECT array_agg(rows ORDER BY window_id) AS by_window
FROM (
    SELECT
        s.window_id,
        sparse_rows(
            t.item_index,
            t.term,
            t.occurrences * (1 + ln((1.0 + s.items) / (1.0 + coalesce(f.items, 0)))),
            (SELECT count(*) FROM catalog)
        ) AS rows
    FROM sizes AS s
    CROSS JOIN words AS t
    LEFT JOIN frequencies AS f ON f.window_id = s.window_id AND f.term = t.term
    GROUP BY s.window_id
);
