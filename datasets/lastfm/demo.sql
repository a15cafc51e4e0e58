-- The demo world in Last.fm-2k's raw format: films are artists, their genres and decades
-- the tags. `artists.dat` ends its lines in LF, the others in CRLF.

-- Every tag, in the order of its id; ids have gaps, as the real ones.
CREATE VIEW demo_tags AS
SELECT 3 * row_number() OVER (ORDER BY tag) AS tag_id, tag
FROM (
    SELECT DISTINCT lower(unnest(genres)) AS tag FROM world_items
    UNION SELECT concat(CAST(year / 10 * 10 AS TEXT), 's') FROM world_items
    UNION SELECT column1 FROM (VALUES ('favorites'), ('seen live'), ('tropicália'))
);

-- A few artists that users tag are missing from the file, others have no picture.
CREATE VIEW "artists.dat" AS
SELECT CAST(line AS BYTEA) AS line
FROM (
    SELECT 0 AS item, concat_ws(E'\t', 'id', 'name', 'url', 'pictureURL') AS line
    UNION ALL
    SELECT item, concat_ws(
        E'\t',
        CAST(item AS TEXT),
        CASE WHEN stable_hash(@seed, 'quoted', item) % 50 = 0 THEN concat('"', title, '"') ELSE title END,
        concat('http://www.last.fm/music/', replace(title, ' ', '+')),
        CASE WHEN stable_hash(@seed, 'picture', item) % 40 = 0 THEN '' ELSE 'http://userserve-ak.last.fm/1.jpg' END
    )
    FROM world_items
    WHERE stable_hash(@seed, 'missing', item) % 200 <> 0
)
ORDER BY item;

CREATE VIEW "tags.dat" AS
SELECT latin1(concat(line, chr(13))) AS line
FROM (
    SELECT 0 AS tag_id, concat_ws(E'\t', 'tagID', 'tagValue') AS line
    UNION ALL
    SELECT tag_id, concat_ws(E'\t', CAST(tag_id AS TEXT), tag) FROM demo_tags
)
ORDER BY tag_id;

CREATE VIEW "user_friends.dat" AS
SELECT latin1(concat(line, chr(13))) AS line
FROM (
    SELECT 0 AS user, 0 AS friend, concat_ws(E'\t', 'userID', 'friendID') AS line
    UNION ALL
    SELECT user, friend, concat_ws(E'\t', CAST(user AS TEXT), CAST(friend AS TEXT)) FROM world_friends
)
ORDER BY user, friend;

-- Listening counts: the better the artist is liked, the more plays.
CREATE VIEW "user_artists.dat" AS
SELECT latin1(concat(line, chr(13))) AS line
FROM (
    SELECT 0 AS user, 0 AS ts, 0 AS event, concat_ws(E'\t', 'userID', 'artistID', 'weight') AS line
    UNION ALL
    SELECT user, ts, event, concat_ws(
        E'\t', CAST(user AS TEXT), CAST(item AS TEXT),
        CAST(rating * rating * draw_int(1, 200, @seed, 'plays', event) AS TEXT)
    )
    FROM world_events
)
ORDER BY user, ts, event;

-- One to six tags an event, ten years after the world's time. Of every fourth user only
-- the month is known, of another fourth the day: midnight in Madrid, UTC+1, in
-- milliseconds. A few times are bogus, a few lines are short, a few tags stand twice.
CREATE VIEW "user_taggedartists-timestamps.dat" AS
SELECT latin1(concat(line, chr(13))) AS line
FROM (
    SELECT
        0 AS user, 0 AS ts, 0 AS event, 0 AS tag_id,
        concat_ws(E'\t', 'userID', 'artistID', 'tagID', 'timestamp') AS line
    UNION ALL
    SELECT user, ts, event, tag_id, concat_ws(
        E'\t',
        CAST(user AS TEXT),
        CAST(item AS TEXT),
        CAST(tag_id AS TEXT),
        CASE
            WHEN stable_hash(@seed, 'short', event) % 2000 = 0 THEN NULL
            WHEN stable_hash(@seed, 'bogus', event) % 2000 = 0 THEN '-428720400000'
            ELSE CAST(milliseconds AS TEXT)
        END
    )
    FROM (
        SELECT
            user, ts, event, item, milliseconds,
            3 * array_position((SELECT array_agg(tag ORDER BY tag_id) FROM demo_tags), tag) AS tag_id
        FROM (
            SELECT user, ts, event, item, milliseconds, unnest(tags) AS tag
            FROM (
                SELECT
                    e.user,
                    e.ts,
                    e.event,
                    e.item,
                    1000 * CAST(date_part('epoch', CASE stable_hash(@seed, 'precision', e.user) % 4
                        WHEN 0 THEN date_trunc('month', e.moment) - INTERVAL '1 hour'
                        WHEN 1 THEN date_trunc('day', e.moment) - INTERVAL '1 hour'
                        ELSE e.moment
                    END) AS BIGINT) AS milliseconds,
                    make_array(
                        lower(i.genres[1]),
                        CASE WHEN uniform(@seed, 'decade', e.event) < 0.7
                            THEN concat(CAST(i.year / 10 * 10 AS TEXT), 's') END,
                        CASE WHEN uniform(@seed, 'second', e.event) < 0.5 THEN lower(i.genres[2]) END,
                        CASE WHEN e.rating = 5 THEN 'favorites' END,
                        CASE WHEN uniform(@seed, 'live', e.event) < 0.05 THEN 'seen live' END,
                        CASE WHEN uniform(@seed, 'accent', e.event) < 0.01 THEN 'tropicália' END,
                        CASE WHEN uniform(@seed, 'twice', e.event) < 0.002 THEN lower(i.genres[1]) END
                    ) AS tags
                FROM (
                    SELECT *, to_timestamp_seconds(ts) + INTERVAL '10 years' AS moment FROM world_events
                ) AS e
                JOIN world_items AS i ON i.item = e.item
            )
        )
        WHERE tag IS NOT NULL
    )
)
ORDER BY user, ts, event, tag_id;
