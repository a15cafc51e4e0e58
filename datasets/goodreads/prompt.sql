-- The log knows nothing of its users but what they did.
CREATE VIEW profile_text AS
SELECT user_id, '' AS profile FROM users WHERE false;

-- A book in short: `||` gives null where a value is missing, and concat_ws leaves that out.
CREATE VIEW item_words AS
SELECT
    item_id,
    concat_ws(
        ', ',
        coalesce(nullif(title, ''), 'an untitled book'),
        nullif(array_to_string(array_slice(genres, 1, 3), ' / '), ''),
        'by ' || nullif(array_to_string(array_slice(authors, 1, 3), ' & '), ''),
        CAST(year AS TEXT),
        nullif(publisher, ''),
        CAST(pages AS TEXT) || ' pages',
        'rated ' || CAST(average_rating AS TEXT) || ' by ' || short_count(ratings_count)
    ) AS words,
    nullif(one_line(description), '') AS description
FROM items;

-- What the user did with a book is told as of the scenario's time: what was noted later is
-- left out.
CREATE VIEW history_text AS
SELECT
    h.scenario_id,
    h.position,
    concat(
        time_ago(h.ts, h.scenario_ts), ': ', coalesce(i.words, 'a book'), ' (' || i.description || ')',
        CASE
            WHEN r.updated_at > h.scenario_ts AND @mode <> 'paper' THEN '; put on the shelf'
            ELSE concat(
                CASE WHEN r.is_read THEN '; read' ELSE '; not read' END,
                ', gave ' || CAST(r.rating AS TEXT) || '/5',
                ': ' || nullif(r.review, '')
            )
        END
    ) AS entry
FROM history AS h
JOIN interactions AS r ON r.user_id = h.user_id AND r.row = h.row
LEFT JOIN item_words AS i ON i.item_id = h.item_id;

CREATE VIEW option_text AS
SELECT o.scenario_id, o.position, coalesce(i.words, 'a book') AS entry
FROM options AS o
LEFT JOIN item_words AS i ON i.item_id = o.item_id;
