-- What a prompt says of an app reviewed and of an app shown. `||` with something unknown is null,
-- which `concat_ws` leaves out.
CREATE VIEW profile_text AS
SELECT user_id, '' AS profile
FROM users
WHERE false;

CREATE VIEW app_text AS
SELECT
    item_id,
    concat_ws(
        ', ',
        coalesce(name, item_id),
        category,
        'by ' || developer,
        price,
        'rated ' || CAST(round(average_rating, 1) AS TEXT) || '/5',
        short_count(review_count) || ' reviews'
    ) AS words
FROM items;

CREATE VIEW history_text AS
SELECT
    h.scenario_id,
    h.position,
    concat_ws(
        '; ',
        coalesce(a.words, h.item_id),
        '"' || first_words(i.description, 20) || '"',
        'own rating ' || CAST(r.rating AS TEXT) || '/5',
        'own review "' || first_words(r.review, 30) || '"'
    ) AS entry
FROM history AS h
LEFT JOIN app_text AS a ON a.item_id = h.item_id
LEFT JOIN items AS i ON i.item_id = h.item_id
JOIN interactions AS r ON r.user_id = h.user_id AND r.row = h.row;

CREATE VIEW option_text AS
SELECT o.scenario_id, o.position, coalesce(a.words, o.item_id) AS entry
FROM options AS o
LEFT JOIN app_text AS a ON a.item_id = o.item_id;
