-- The demo world in Steam's raw format: films are games, a rating shows in hours and words.
-- Values are Python literals; draws are keyed by ids, so that the quirks fall where they fell.
CREATE VIEW demo_games AS
SELECT
    item,
    CASE WHEN fault = 1 THEN NULL ELSE concat('u''', CAST(700000 + item * 10 AS TEXT), '''') END AS id,
    concat('u''', name, '''') AS app_name,
    CASE
        WHEN kind < 0.06 THEN NULL
        WHEN kind < 0.10 THEN concat('u"', name, ': Collector''s Cut"')
        WHEN kind < 0.14 THEN concat('u''', name, ' &amp; More''')
        WHEN kind < 0.16 THEN concat('u''', name, '\u2122''')
        WHEN kind < 0.17 THEN concat('u''', name, ': the "Director\''s" Cut''')
        ELSE concat('u''', name, '''')
    END AS title,
    CASE
        WHEN kind < 0.95 THEN concat('[u''', array_to_string(genres, ''', u'''), ''']')
        WHEN kind < 0.97 THEN '[u''Design &amp; Illustration'']'
    END AS genres,
    concat('[u''', array_to_string(genres, ''', u'''), ''', u''', decade, ''', u''', mood, ''']') AS tags,
    concat('[u''', mode, ''', u''', extra, ''']') AS specs,
    CASE WHEN kind < 0.90 THEN developer END AS developer,
    CASE WHEN kind < 0.45 THEN developer WHEN kind < 0.75 THEN publisher END AS publisher,
    CASE
        WHEN kind < 0.92 THEN concat('u''', released, '''')
        WHEN kind < 0.95 THEN ['u''Jun 2009''', 'u''2010''', 'u''Soon..'''][draw_int(1, 3, 0, 'words', item)]
    END AS release_date,
    CASE
        WHEN kind > 0.30 AND kind < 0.42
            THEN concat('u''', CAST(draw_int(1, 9, 0, 'few', item) AS TEXT), ' user reviews''')
        WHEN kind > 0.50 AND kind < 0.60 THEN NULL
        WHEN quality > 1.5 THEN 'u''Overwhelmingly Positive'''
        WHEN quality > 0.5 THEN 'u''Very Positive'''
        WHEN quality > -0.5 THEN 'u''Mixed'''
        ELSE 'u''Mostly Negative'''
    END AS sentiment,
    CASE
        WHEN kind > 0.20 AND kind < 0.26
            THEN [
                'u''Free''', 'u''Free to Play''', 'u''Free Demo''', 'u''Third-party'''
            ][draw_int(1, 4, 0, 'free', item)]
        WHEN kind < 0.96
            THEN ['0.99', '4.99', '9.99', '14.99', '19.99', '59.99'][draw_int(1, 6, 0, 'price', item)]
    END AS price
FROM (
    SELECT
        *,
        draw_int(1, 250, 0, 'fault', item) AS fault,
        uniform(0, 'kind', item) AS kind,
        replace(replace(replace(title, 'É', '\xc9'), 'é', '\xe9'), 'ñ', '\xf1') AS name,
        concat(CAST(year / 10 AS TEXT), '0s') AS decade,
        -- The last two years are those of the log: some games are played before their release.
        concat_ws(
            '-',
            CAST(2007 + (year - 1920) / 8 AS TEXT),
            lpad(CAST(draw_int(1, 12, 0, 'month', item) AS TEXT), 2, '0'),
            lpad(CAST(draw_int(1, 28, 0, 'day', item) AS TEXT), 2, '0')
        ) AS released,
        [
            'Atmospheric', 'Story Rich', 'Difficult', 'Retro', 'Cute', 'Point & Click'
        ][draw_int(1, 6, 0, 'mood', item)] AS mood,
        ['Single-player', 'Multi-player', 'Co-op'][draw_int(1, 3, 0, 'mode', item)] AS mode,
        [
            'Steam Cloud', 'Steam Achievements', 'Full controller support'
        ][draw_int(1, 3, 0, 'extra', item)] AS extra,
        [
            'u''Low Tide Games''', 'u''Kestrel Works''', 'u''Fern &amp; Moss''', 'u"Bram''s Garage"',
            'u''Nine Lamps, Inc.''', 'u''\u6708\u5149''', 'u''Atelier Caf\xe9''', 'u''Slow Orbit'''
        ][draw_int(1, 8, 0, 'developer', item)] AS developer,
        [
            'u''Old Harbor''', 'u''Signal &amp;amp; Noise''', 'u''Paper Crane'''
        ][draw_int(1, 3, 0, 'publisher', item)] AS publisher
    FROM world_items
);

CREATE VIEW "steam_games.json" AS
SELECT CAST(concat('{', line, '}') AS BYTEA) AS line
FROM (
    SELECT
        item,
        copy,
        concat_ws(
            ', ',
            'u''publisher'': ' || publisher,
            'u''genres'': ' || genres,
            'u''app_name'': ' || app_name,
            'u''sentiment'': ' || sentiment,
            'u''title'': ' || title,
            'u''url'': u''http://store.steampowered.com/app/' || CAST(item AS TEXT) || '/''',
            'u''release_date'': ' || release_date,
            'u''tags'': ' || tags,
            -- The order of the keys varies from line to line.
            CASE WHEN item % 2 = 0 THEN 'u''id'': ' || id END,
            'u''specs'': ' || specs,
            'u''price'': ' || price,
            'u''early_access'': False',
            CASE WHEN item % 2 = 1 THEN 'u''id'': ' || id END,
            'u''developer'': ' || developer
        ) AS line
    FROM (SELECT *, unnest(CASE WHEN item = 7 THEN [1, 2] ELSE [1] END) AS copy FROM demo_games)
    UNION ALL
    SELECT 9999, 1, 'u''id'': u''799990'', u''title'': __import__(''os'').getcwd()'
)
ORDER BY item, copy;

-- Of most users the first 4 to 20 events; of some all, which is more than are kept. A few
-- review a game again, some days later.
CREATE VIEW demo_reviews AS
SELECT *, unnest(CASE WHEN uniform(0, 'again', event) < 0.01 THEN [0, 40] ELSE [0] END) AS days
FROM (
    SELECT
        *,
        uniform(0, 'kind', event) AS kind,
        CASE WHEN uniform(0, 'bad', event) < 0.006 THEN draw_int(1, 7, 0, 'fault', event) END AS fault,
        CAST(row_number() OVER (PARTITION BY user ORDER BY ts, event) AS BIGINT) AS turn
    FROM world_events
)
WHERE turn <= CASE
    WHEN uniform(0, 'all', user) < 0.03 THEN 40
    ELSE draw_int(4, 20, 0, 'reviews', user)
END;

CREATE VIEW "steam_reviews.json" AS
SELECT CAST(CASE WHEN fault = 1 THEN left(line, 60) ELSE line END AS BYTEA) AS line
FROM (
    SELECT
        user,
        ts,
        event,
        days,
        fault,
        concat('{', concat_ws(
            ', ',
            'u''username'': ' || CASE
                WHEN user % 25 = 3 THEN concat('u"Rook''s ', CAST(user AS TEXT), '"')
                WHEN user % 25 = 9 THEN concat('u''\u2605 Nova ', CAST(user AS TEXT), '''')
                ELSE concat(
                    'u''', ['Moss', 'Ember', 'Juno', 'Pixel'][draw_int(1, 4, 0, 'name', user)],
                    ' ', CAST(user AS TEXT), ''''
                )
            END,
            CASE
                WHEN fault = 7 THEN 'u''hours'': -1.0'
                -- About 1 hour for a rating of 1, and three times as many for each more.
                WHEN kind > 0.02 THEN concat(
                    'u''hours'': ',
                    CAST(round(power(3.0, rating - 1) * (0.5 + uniform(0, 'hours', event)), 1) AS TEXT)
                )
            END,
            CASE
                WHEN kind < 0.97
                    THEN concat('u''products'': ', CAST(draw_int(10, 300, 0, 'games', user) + turn AS TEXT))
            END,
            CASE
                WHEN user % 2 = 0
                    THEN concat('u''user_id'': u''7656119', lpad(CAST(user AS TEXT), 10, '0'), '''')
            END,
            CASE
                WHEN fault = 2 THEN NULL
                -- Taken off the store since.
                WHEN fault = 3 THEN 'u''product_id'': u''100'''
                ELSE concat('u''product_id'': u''', CAST(700000 + item * 10 AS TEXT), '''')
            END,
            'u''page_order'': ' || CAST(turn % 10 AS TEXT),
            CASE
                WHEN fault = 4 THEN 'u''date'': u'''''
                WHEN fault = 5 THEN 'u''date'': u''2016-02-30'''
                -- Sixteen years after the world's own time.
                ELSE concat(
                    'u''date'': u''',
                    to_char(to_timestamp_seconds(ts + 504921600 + days * 86400), '%Y-%m-%d'), ''''
                )
            END,
            CASE
                WHEN fault = 6 THEN 'u''text'': open(''/etc/hostname'').read()'
                WHEN kind > 0.04 THEN 'u''text'': ' || CASE rating
                    WHEN 1 THEN [
                        'u''Refunded it.''', 'u"Don''t buy."',
                        'u''No.\n\nJust no.''', 'u''Broken &amp; dull'''
                    ]
                    WHEN 2 THEN [
                        'u''Not for me.''', 'u''Got bored quickly''',
                        'u''Meh \u2639''', 'u''It\''s "fine", I guess'''
                    ]
                    WHEN 3 THEN [
                        'u''Decent on sale.''', 'u''Fun for a weekend''',
                        'u''Okay, not great''', 'u'''''
                    ]
                    WHEN 4 THEN [
                        'u''Really good game.''', 'u"Can''t complain!"',
                        'u''Pretty great &lt;3''', 'u''Solid\tfun'''
                    ]
                    ELSE [
                        'u''One of the best.''', 'u''10/10 would play again!''',
                        'u''Love it \U0001f600''', 'u''Masterpiece\r\nBuy it!'''
                    ]
                END[draw_int(1, 4, 0, 'text', event)]
            END,
            CASE WHEN kind > 0.98 THEN 'u''compensation'': u''Product received for free''' END,
            'u''early_access'': False',
            'u''page'': ' || CAST(1 + turn / 10 AS TEXT)
        ), '}') AS line
    FROM demo_reviews
)
ORDER BY user, ts, event, days;
