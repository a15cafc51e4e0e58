-- A user finds an artist: the first time the user tags it. The log has a row a tag; the
-- first sound row of a user and an artist stands for both and carries all their tags, each
-- with its time, so that a prompt can leave out those of the future.
CREATE VIEW interactions AS
SELECT
    user_id,
    item_id,
    ts,
    row,
    -- Latest first: the running lists are complete at the pair's first tag.
    array_agg(tag) OVER pair AS tags,
    array_agg(ts) OVER pair AS tagged_at,
    file,
    row AS line,
    quarantined,
    CASE
        WHEN quarantined IS NULL AND lead(row) OVER pair IS NOT NULL THEN 'a further tag of the same artist'
    END AS filtered
FROM (
    SELECT
        CAST(l.user_id AS TEXT) AS user_id,
        CAST(l.artist_id AS TEXT) AS item_id,
        to_timestamp_millis(l.milliseconds) AS ts,
        l.line AS row,
        first_words(one_line(t.tag), 5) AS tag,
        l.file,
        CASE
            WHEN l.user_id IS NULL THEN 'user id is missing'
            WHEN a.item_id IS NULL THEN 'artist is not in artists.dat'
            WHEN t.tag_id IS NULL THEN 'tag is not in tags.dat'
            -- Last.fm opened in 2002; 2100 is past any log.
            WHEN l.milliseconds IS NULL OR l.milliseconds NOT BETWEEN 1009843200000 AND 4102444800000
                THEN 'time is not between 2002 and 2100'
            WHEN l.copy > 1 THEN 'the same tag twice'
        END AS quarantined
    FROM (
        SELECT *, row_number() OVER (PARTITION BY user_id, artist_id, tag_id ORDER BY line) AS copy
        FROM raw_taggings
    ) AS l
    LEFT JOIN (SELECT item_id FROM items WHERE quarantined IS NULL) AS a
        ON a.item_id = CAST(l.artist_id AS TEXT)
    LEFT JOIN (SELECT tag_id, min(tag) AS tag FROM raw_tags GROUP BY tag_id) AS t
        ON t.tag_id = l.tag_id
)
WINDOW pair AS (
    PARTITION BY user_id, item_id, quarantined
    ORDER BY ts DESC, row DESC
    ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW
);
