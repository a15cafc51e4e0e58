-- News that can be shown: those whose title is known.
CREATE VIEW known_news AS
SELECT item_id FROM items WHERE quarantined IS NULL AND filtered IS NULL;

-- Impressions, a row of the log each: what was shown, and the one piece of news clicked.
CREATE VIEW shown AS
SELECT
    user_id,
    clicked AS item_id,
    ts,
    -- The lines of several files have the same numbers: a user's rows are counted.
    CAST(row_number() OVER (PARTITION BY user_id, quarantined ORDER BY ts, file, line) AS BIGINT) AS row,
    history,
    candidates,
    file,
    line,
    quarantined,
    CASE
        WHEN quarantined IS NOT NULL THEN NULL
        WHEN clicks <> 1 THEN 'not exactly 1 click'
        WHEN cardinality(candidates) > 10 THEN 'more than 10 candidates'
        WHEN cardinality(candidates) < 2 THEN 'only one candidate'
        WHEN cardinality(history) < 5 THEN 'history of fewer than 5 clicks'
        WHEN unknown THEN 'a candidate is not in news.tsv'
    END AS filtered
FROM (
    SELECT
        b.*,
        u.line IS NOT NULL AS unknown,
        CASE
            WHEN b.user_id = '' THEN 'user id is missing'
            -- The log is of 2019; 2100 is past any.
            WHEN b.ts IS NULL OR date_part('year', b.ts) NOT BETWEEN 2019 AND 2099
                THEN 'time is not between 2019 and 2100'
            WHEN cardinality(array_distinct(b.candidates)) < cardinality(b.candidates)
                THEN 'a candidate stands twice'
        END AS quarantined
    FROM raw_behaviors AS b
    LEFT JOIN (
        SELECT DISTINCT c.file, c.line
        FROM (
            SELECT file, line, unnest(candidates) AS news_id
            FROM raw_behaviors
            WHERE cardinality(candidates) <= 10
        ) AS c
        LEFT ANTI JOIN known_news AS n ON n.item_id = c.news_id
    ) AS u ON u.file = b.file AND u.line = b.line
);

-- The click history, which stands on each of a user's rows, is taken from the first one. It
-- is in order, but has no times: it comes before the log, with rows up to 0.
CREATE VIEW clicked_before AS
SELECT
    h.user_id,
    h.item_id,
    o.ts,
    h.row,
    h.file,
    h.line,
    CASE WHEN n.item_id IS NULL THEN 'news of the history is not in news.tsv' END AS filtered
FROM (
    SELECT
        user_id,
        unnest(history) AS item_id,
        unnest(generate_series(1 - CAST(cardinality(history) AS BIGINT), 0)) AS row,
        file,
        line
    FROM shown
    WHERE row = 1 AND quarantined IS NULL
) AS h
CROSS JOIN opening AS o
LEFT JOIN known_news AS n ON n.item_id = h.item_id;

CREATE VIEW interactions AS
SELECT
    user_id, item_id, ts, row, candidates AS impressions, true AS dated, file, line, quarantined, filtered
FROM shown
UNION ALL
SELECT
    user_id, item_id, ts, row, CAST(NULL AS TEXT[]), false, file, line, NULL, filtered
FROM clicked_before;
