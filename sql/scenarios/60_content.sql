-- TF-IDF rows of the items' texts, one set a window: a word's weight counts the items
-- that were available when the window began (all items in `paper` mode). `since` is the
-- first window that an item counts in. Empty, like the factors, where the log tells what
-- was shown.
CREATE OR REPLACE TABLE words AS
SELECT item_index, since, term, count(*) AS occurrences
FROM (
    SELECT c.item_index, s.since, unnest(tokens(c.text)) AS term
    FROM catalog AS c
    JOIN (
        SELECT c.item_index, count(w.window_id) AS since
        FROM catalog AS c
        LEFT JOIN windows AS w ON w.data_until < c.available_at
        GROUP BY c.item_index
    ) AS s ON s.item_index = c.item_index
    WHERE (SELECT count(impressions) FROM interactions) = 0
)
GROUP BY item_index, since, term;

CREATE OR REPLACE TABLE content AS
WITH sizes AS (
    SELECT w.window_id, count(c.item_index) AS items
    FROM windows AS w
    LEFT JOIN catalog AS c
        ON w.data_until IS NULL OR c.available_at IS NULL OR c.available_at <= w.data_until
    GROUP BY w.window_id
),
-- A word that no item had when a window began weighs the most, and is in that window too.
weights AS (
    SELECT
        s.window_id,
        f.term,
        1 + ln((1.0 + s.items) / (1.0 + sum(CASE WHEN f.since <= s.window_id THEN f.items ELSE 0 END))) AS weight
    FROM sizes AS s
    CROSS JOIN (SELECT term, since, count(*) AS items FROM words GROUP BY term, since) AS f
    GROUP BY s.window_id, s.items, f.term
)
SELECT array_agg(rows ORDER BY window_id) AS by_window
FROM (
    SELECT
        w.window_id,
        sparse_rows(
            t.item_index,
            t.term,
            t.occurrences * w.weight,
            (SELECT count(*) FROM catalog)
        ) AS rows
    FROM words AS t
    JOIN weights AS w ON w.term = t.term
    GROUP BY w.window_id
);
