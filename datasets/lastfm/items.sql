-- Artists, each with the five tags that most users gave it. `text` is what the content
-- ranker compares.
CREATE VIEW items AS
SELECT
    CAST(a.artist_id AS TEXT) AS item_id,
    a.name,
    t.tags,
    concat_ws(' ', a.name, array_to_string(t.tags, ' ')) AS text,
    a.file,
    a.line,
    CASE
        WHEN a.artist_id IS NULL OR a.name = '' THEN 'artist without id or name'
        WHEN a.copy > 1 THEN 'artist stands twice'
    END AS quarantined,
    CAST(NULL AS TEXT) AS filtered
FROM (
    SELECT
        artist_id,
        first_words(one_line(name), 12) AS name,
        file,
        line,
        row_number() OVER (PARTITION BY artist_id ORDER BY line) AS copy
    FROM raw_artists
) AS a
LEFT JOIN (
    SELECT artist_id, array_agg(tag ORDER BY place) AS tags
    FROM (
        SELECT
            l.artist_id,
            first_words(one_line(t.tag), 5) AS tag,
            row_number() OVER (
                PARTITION BY l.artist_id ORDER BY count(DISTINCT l.user_id) DESC, l.tag_id
            ) AS place
        FROM raw_taggings AS l
        JOIN (SELECT tag_id, min(tag) AS tag FROM raw_tags GROUP BY tag_id) AS t ON t.tag_id = l.tag_id
        GROUP BY l.artist_id, l.tag_id, t.tag
    )
    WHERE place <= 5
    GROUP BY artist_id
) AS t ON t.artist_id = a.artist_id;
