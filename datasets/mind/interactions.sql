-- News that can be shown: those whose title is known.
CREATE VIEW known_news AS
SELECT item_id FROM items WHERE quarantined IS NULL AND filtered IS NULL;

-- Rows of the log that show news of unknown title, among those with few candidates.
CREATE VIEW unknown_shown AS
SELECT DISTINCT c.file, c.line
FROM (
    SELECT file, line, unnest(candidates) AS news_id
    FROM raw_behaviors
    WHERE cardinality(candidates) <= 10
) AS c
LEFT ANTI JOIN known_news AS n ON n.item_id = c.news_id;

-- The files in their order: the lines of several have the same numbers.
CREATE VIEW behavior_files AS
SELECT file, CAST(row_number() OVER (ORDER BY file) AS BIGINT) AS place
FROM (SELECT DISTINCT file FROM raw_behaviors);

-- Impressions, a row of the log each: what was shown, and the one piece of news clicked.
-- Joins keep their first side in memory, so that the small one stands first.
CREATE VIEW shown AS
SELECT
    *,
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
        1000000000 * f.place + b.line AS row,
        u.line IS NOT NULL AS unknown,
        CASE
            WHEN b.user_id = '' THEN 'user id is missing'
            -- The log is of 2019; 2100 is past any.
            WHEN b.ts IS NULL OR date_part('year', b.ts) NOT BETWEEN 2019 AND 2099
                THEN 'time is not between 2019 and 2100'
            WHEN cardinality(b.candidates) <= 10
                AND cardinality(array_distinct(b.candidates)) < cardinality(b.candidates)
                THEN 'a candidate stands twice'
        END AS quarantined
    FROM unknown_shown AS u
    RIGHT JOIN (
        behavior_files AS f JOIN raw_behaviors AS b ON b.file = f.file
    ) ON b.file = u.file AND b.line = u.line
);

-- The click history, which stands on each of a user's rows, is taken from the first one. It
-- is in order, but has no times: it comes before the log, with rows up to 0.
CREATE VIEW clicked_before AS
SELECT
    h.user_id,
    h.item_id,
    h.ts,
    h.row,
    h.file,
    h.line,
    CASE WHEN n.item_id IS NULL THEN 'news of the history is not in news.tsv' END AS filtered
FROM known_news AS n
RIGHT JOIN (
    SELECT
        s.user_id,
        o.ts,
        unnest(s.history) AS item_id,
        unnest(generate_series(1 - CAST(cardinality(s.history) AS BIGINT), 0)) AS row,
        s.file,
        s.line
    FROM opening AS o
    CROSS JOIN (
        SELECT
            user_id,
            history,
            file,
            line,
            row_number() OVER (PARTITION BY user_id ORDER BY ts, row) AS place
        FROM shown
        WHERE quarantined IS NULL
    ) AS s
    WHERE s.place = 1
) AS h ON h.item_id = n.item_id;

CREATE VIEW interactions AS
SELECT
    user_id, clicked AS item_id, ts, row, candidates AS impressions, true AS dated,
    file, line, quarantined, filtered
FROM shown
UNION ALL
SELECT
    user_id, item_id, ts, row, CAST(NULL AS TEXT[]), false,
    file, line, CAST(NULL AS TEXT), filtered
FROM clicked_before;
