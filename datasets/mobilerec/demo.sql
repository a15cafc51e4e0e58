-- The demo world in MobileRec's raw format: its films are apps, twenty years later, and its
-- ratings are reviews. The year belongs to every app's name: it tells the mood.
CREATE VIEW "app_meta/app_meta.csv" AS
SELECT CAST(line AS BYTEA) AS line
FROM (
    SELECT
        0 AS item,
        'app_package,app_name,developer_name,app_category,description,content_rating,num_reviews,price,avg_rating' AS line
    UNION ALL
    SELECT
        item,
        concat_ws(
            ',',
            concat('org.demo.app', CAST(item AS TEXT)),
            CASE
                WHEN item % 50 = 1 THEN concat('"', title, ', ', CAST(year AS TEXT), '"')
                WHEN item % 50 = 2 THEN concat('"""', title, '"" ', CAST(year AS TEXT), '"')
                ELSE concat(title, ' ', CAST(year AS TEXT))
            END,
            concat('Studio ', chr(65 + item % 26)),
            genres[1],
            -- Some descriptions run over two lines; one in fifty is missing.
            CASE
                WHEN item % 50 = 3 THEN ''
                WHEN item % 10 = 4 THEN concat('"For friends of ', array_to_string(genres, ', '), '.', chr(10), 'No ""ads"".', '"')
                ELSE concat('For friends of ', array_to_string(genres, ' and '))
            END,
            make_array('Everyone', 'Teen', 'Mature 17+')[draw_int(1, 3, @seed, 'content', item)],
            CASE
                WHEN item % 7 = 0 THEN CAST(draw_int(15, 999, @seed, 'reviews', item) AS TEXT)
                ELSE concat(
                    '"', CAST(draw_int(1, 999, @seed, 'thousands', item) AS TEXT), ',',
                    lpad(CAST(draw_int(0, 999, @seed, 'reviews', item) AS TEXT), 3, '0'), '"'
                )
            END,
            CASE WHEN item % 10 = 5 THEN '$1.99 Buy' ELSE 'Install' END,
            CASE WHEN item % 50 = 6 THEN '' ELSE concat('4.', CAST(draw_int(0, 9, @seed, 'average', item) AS TEXT)) END
        )
    FROM world_items
)
ORDER BY item;

-- A few reviews are empty, run over lines or hold quotes; unknown apps, impossible ratings, wrong
-- times and quotes that are never closed are rare.
CREATE VIEW "interactions/mobilerec_final.csv" AS
SELECT CAST(line AS BYTEA) AS line
FROM (
    SELECT
        0 AS user,
        0 AS ts,
        0 AS event,
        'app_package,review,rating,votes,date,uid,formated_date,unix_timestamp,app_category' AS line
    UNION ALL
    SELECT
        user,
        ts,
        event,
        concat_ws(
            ',',
            CASE quirk WHEN 1 THEN 'org.demo.gone' ELSE concat('org.demo.app', CAST(item AS TEXT)) END,
            CASE
                WHEN quirk = 2 THEN '"never closed'
                WHEN quirk < 20 THEN ''
                WHEN quirk < 40 THEN concat('"', words, ',', chr(10), 'really ""', words, '"""')
                ELSE words
            END,
            CASE quirk WHEN 3 THEN '9' ELSE CAST(rating AS TEXT) END,
            CAST(draw_int(0, 9, @seed, 'votes', event) AS TEXT),
            to_char(to_timestamp_seconds(seconds), '"%B %-d, %Y"'),
            -- Sixteen letters and digits, as the publisher's.
            lpad(to_hex(stable_hash(@seed, 'uid', user)), 16, '0'),
            to_char(to_timestamp_seconds(seconds), '%Y-%m-%d'),
            CASE quirk WHEN 4 THEN '-1.0' WHEN 5 THEN '' ELSE concat(CAST(seconds AS TEXT), '.0') END,
            category
        )
    FROM (
        SELECT
            e.user,
            e.ts,
            e.event,
            e.item,
            e.rating,
            draw_int(1, 1000, @seed, 'quirk', e.event) AS quirk,
            make_array('A waste of time', 'Not for me', 'Does its job', 'I like it', 'Could not stop')[e.rating] AS words,
            -- The day, from 1999-01-01 on to 2019-01-01 on.
            (e.ts / 86400 + 7305) * 86400 AS seconds,
            i.genres[1] AS category
        FROM world_events AS e
        JOIN world_items AS i ON i.item = e.item
    )
)
ORDER BY user, ts, event;
