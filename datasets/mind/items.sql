-- The moment before the log: a click history has no times, but all of it came before.
CREATE VIEW opening AS
SELECT min(ts) - INTERVAL '1 second' AS ts
FROM raw_behaviors
WHERE ts >= TIMESTAMP '2019-01-01T00:00:00Z';

-- News, available from when the log first shows them, as a candidate or in a history. The
-- sets' files overlap: the first to hold a piece of news is the one that counts.
CREATE VIEW items AS
SELECT
    n.news_id AS item_id,
    n.title,
    n.category,
    n.subcategory,
    s.available_at,
    concat_ws(' ', n.title, n.category, n.subcategory) AS text,
    n.file,
    n.line,
    CASE
        WHEN n.news_id = '' OR n.title = '' THEN 'news without id or title'
        WHEN n.previous_file = n.file THEN 'news stands twice in its file'
    END AS quarantined,
    CASE WHEN n.previous_file <> n.file THEN 'news stands in another file too' END AS filtered
FROM (
    SELECT
        news_id,
        first_words(one_line(title), 25) AS title,
        nullif(one_line(category), '') AS category,
        nullif(one_line(subcategory), '') AS subcategory,
        file,
        line,
        lag(file) OVER (PARTITION BY news_id ORDER BY file, line) AS previous_file
    FROM raw_news
) AS n
LEFT JOIN (
    SELECT news_id, min(ts) AS available_at
    FROM (
        SELECT unnest(candidates) AS news_id, ts FROM raw_behaviors
        UNION ALL
        SELECT unnest(b.history), o.ts FROM opening AS o CROSS JOIN raw_behaviors AS b
    )
    GROUP BY news_id
) AS s ON s.news_id = n.news_id;
