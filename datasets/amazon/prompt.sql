-- The log knows nothing of its users but what they did.
CREATE VIEW profile_text AS
SELECT user_id, '' AS profile FROM users WHERE false;

-- An item in short: `||` gives null where a value is missing, and concat_ws leaves that out.
CREATE VIEW item_words AS
SELECT
    item_id,
    concat_ws(
        ', ',
        coalesce(nullif(first_words(title, 10), ''), 'an untitled item'),
        nullif(category, ''),
        coalesce('$' || CAST(CAST(price AS DECIMAL(11, 2)) AS TEXT), 'price unknown'),
        'rated ' || CAST(average_rating AS TEXT) || ' by ' || short_count(rating_number)
    ) AS words
FROM items;

CREATE VIEW history_text AS
SELECT
    h.scenario_id,
    h.position,
    concat(
        time_ago(h.ts, h.scenario_ts), ': bought ', coalesce(i.words, 'an item'),
        '; gave ', CAST(CAST(r.rating AS INT) AS TEXT), '/5',
        ': ' || nullif(concat_ws(' - ', nullif(r.summary, ''), nullif(first_words(r.review, 30), '')), '')
    ) AS entry
FROM history AS h
JOIN interactions AS r ON r.user_id = h.user_id AND r.row = h.row
LEFT JOIN item_words AS i ON i.item_id = h.item_id;

CREATE VIEW option_text AS
SELECT o.scenario_id, o.position, coalesce(i.words, 'an item') AS entry
FROM options AS o
LEFT JOIN item_words AS i ON i.item_id = o.item_id;
