-- The demo world in MIND's raw format: films are news. A user's first events are the click
-- history, the later ones impressions, in the folder of the set that their time falls into.

-- A user's events, each with its place among them and, complete from the first impression on,
-- the text of the static history: eight clicks for most users, three or none for a few; of one
-- in five the first stands twice.
CREATE VIEW demo_events AS
SELECT
    *,
    string_agg(CASE WHEN place <= remembered THEN concat('N', CAST(item AS TEXT)) END, ' ')
        OVER life AS history,
    CASE WHEN remembered > 0 AND stable_hash(@seed, 'repeat', user) % 5 = 0
        THEN concat('N', CAST(first_value(item) OVER life AS TEXT)) END AS repeated
FROM (
    SELECT
        *,
        row_number() OVER (PARTITION BY user ORDER BY ts, event) AS place,
        CASE stable_hash(@seed, 'remembered', user) % 40
            WHEN 0 THEN 0
            WHEN 1 THEN 3
            ELSE 8
        END AS remembered
    FROM world_events
)
WINDOW life AS (
    PARTITION BY user
    ORDER BY ts, event
    ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW
);

-- What was shown: 2 to 10 pieces of news, sometimes more, none of them clicked as yet, with
-- spaces around so that each has one on either side.
CREATE VIEW demo_shown AS
SELECT
    *,
    concat(' N', array_to_string(
        insert_at(others, draw_int(1, cardinality(others) + 1, @seed, 'place', event), item), '-0 N'
    ), '-0 ') AS shown
FROM (
    SELECT
        *,
        array_slice(array_remove(page, item), 1, CASE stable_hash(@seed, 'long', event) % 20
            WHEN 0 THEN draw_int(10, 19, @seed, 'others', event)
            ELSE draw_int(1, 9, @seed, 'others', event)
        END) AS others
    FROM demo_events
    WHERE place > remembered
);

-- Rows of the log, twenty years after the world's time. Some have two clicks, a few times
-- make no sense, a few rows are short.
CREATE VIEW demo_behaviors AS
SELECT
    user,
    ts,
    event,
    concat_ws(
        E'\t',
        CAST(event AS TEXT),
        concat('U', CAST(user AS TEXT)),
        CASE WHEN stable_hash(@seed, 'time', event) % 500 = 0 THEN '13/45/2019 1:02:03 PM'
            ELSE to_char(to_timestamp_seconds(ts) + INTERVAL '20 years', '%-m/%-d/%Y %-I:%M:%S %p') END,
        CASE WHEN stable_hash(@seed, 'short', event) % 500 <> 0
            THEN coalesce(concat_ws(' ', history, repeated), '') END,
        trim(replace(
            replace(shown, concat(' N', CAST(item AS TEXT), '-0 '), concat(' N', CAST(item AS TEXT), '-1 ')),
            concat(' N', CAST(second AS TEXT), '-0 '), concat(' N', CAST(second AS TEXT), '-1 ')
        ))
    ) AS line
FROM (
    SELECT *, CASE WHEN stable_hash(@seed, 'second', event) % 25 = 0 THEN others[1] END AS second
    FROM demo_shown
);

CREATE VIEW "MINDsmall_train/behaviors.tsv" AS
SELECT CAST(line AS BYTEA) AS line
FROM demo_behaviors
WHERE to_timestamp_seconds(ts) < TIMESTAMP '2000-01-01T00:00:00Z'
ORDER BY user, ts, event;

CREATE VIEW "MINDsmall_dev/behaviors.tsv" AS
SELECT CAST(line AS BYTEA) AS line
FROM demo_behaviors
WHERE to_timestamp_seconds(ts) >= TIMESTAMP '2000-01-01T00:00:00Z'
ORDER BY user, ts, event;

-- News, a few of which are in neither file. Quotes are plain characters, closed or not.
CREATE VIEW demo_news AS
SELECT
    item,
    concat_ws(
        E'\t',
        concat('N', CAST(item AS TEXT)),
        lower(genres[1]),
        lower(coalesce(genres[2], genres[1])),
        concat(CASE WHEN stable_hash(@seed, 'quote', item) % 40 = 0 THEN '"' ELSE '' END,
            title, ' (', CAST(year AS TEXT), ')'),
        CASE WHEN stable_hash(@seed, 'abstract', item) % 20 = 0 THEN ''
            ELSE concat('All about "', title, '".') END,
        concat('https://assets.msn.com/labs/mind/', CAST(item AS TEXT), '.html'),
        '[]',
        concat('[{"Label": "', title, '", "Type": "W", "Confidence": 1.0}]')
    ) AS line
FROM world_items
WHERE stable_hash(@seed, 'missing', item) % 250 <> 0;

CREATE VIEW "MINDsmall_train/news.tsv" AS
SELECT CAST(line AS BYTEA) AS line
FROM demo_news
WHERE stable_hash(@seed, 'train', item) % 10 <> 0
ORDER BY item;

CREATE VIEW "MINDsmall_dev/news.tsv" AS
SELECT CAST(line AS BYTEA) AS line
FROM demo_news
WHERE stable_hash(@seed, 'train', item) % 10 < 6
ORDER BY item;
