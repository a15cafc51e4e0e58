-- What a prompt says of a user, of a reviewed game and of an option.
CREATE VIEW profile_text AS
SELECT
    user_id,
    CASE
        WHEN games = 1 THEN 'Owns 1 game'
        WHEN games > 1 THEN concat('Owns ', CAST(games AS TEXT), ' games')
        ELSE ''
    END AS profile
FROM users;

-- A game in words: what comes before its release date, the date, and what comes after it.
CREATE VIEW game_text AS
SELECT
    item_id,
    concat_ws(
        '; ',
        first_words(title, 16),
        nullif(array_to_string(genres, ' / '), ''),
        'by ' || first_words(developer, 8),
        CASE
            WHEN publisher IS DISTINCT FROM developer THEN 'published by ' || first_words(publisher, 8)
        END
    ) AS name,
    CASE WHEN released_at IS NULL THEN 'release date ' ELSE 'released ' END
        || first_words(release_date, 4) AS release,
    released_at,
    concat_ws(
        '; ',
        'tags ' || nullif(
            array_to_string(array_slice(array_except(tags, coalesce(genres, [])), 1, 3), ' / '), ''
        ),
        nullif(array_to_string(array_slice(specs, 1, 3), ' / '), ''),
        CASE
            WHEN reviews = 1 THEN '1 player review'
            ELSE coalesce(sentiment || ' reviews', CAST(reviews AS TEXT) || ' player reviews')
        END,
        CASE WHEN price = 0 THEN 'free' ELSE '$' || CAST(CAST(price AS DECIMAL(12, 2)) AS TEXT) END
    ) AS features
FROM items;

-- The release date is told once it has passed: until then it would give the chosen game away.
CREATE VIEW history_text AS
SELECT
    h.scenario_id,
    h.position,
    concat(
        time_ago(h.ts, h.scenario_ts), ': ',
        concat_ws(
            '; ',
            g.name,
            CASE WHEN g.released_at > h.scenario_ts THEN NULL ELSE g.release END,
            nullif(g.features, ''),
            CASE
                WHEN r.hours = 1 THEN 'played 1 hour'
                ELSE 'played ' || regexp_replace(CAST(r.hours AS TEXT), '\.0$', '') || ' hours'
            END,
            'review: ' || nullif(r.review, '')
        )
    ) AS entry
FROM history AS h
LEFT JOIN game_text AS g ON g.item_id = h.item_id
LEFT JOIN interactions AS r ON r.user_id = h.user_id AND r.item_id = h.item_id;

CREATE VIEW option_text AS
SELECT
    o.scenario_id,
    o.position,
    concat_ws(
        '; ',
        g.name,
        CASE WHEN g.released_at > o.scenario_ts THEN NULL ELSE g.release END,
        nullif(g.features, '')
    ) AS entry
FROM options AS o
LEFT JOIN game_text AS g ON g.item_id = o.item_id;
