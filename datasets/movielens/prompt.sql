-- What a prompt says of a user, of a remembered rating and of an option.
CREATE VIEW profile_text AS
SELECT
    user_id,
    concat_ws(
        chr(10),
        CASE WHEN gender IS NOT NULL THEN concat('Gender: ', gender) END,
        CASE WHEN age IS NOT NULL THEN concat('Age: ', age) END,
        CASE WHEN occupation IS NOT NULL THEN concat('Occupation: ', occupation) END
    ) AS profile
FROM users;

CREATE VIEW history_text AS
SELECT
    h.scenario_id,
    h.position,
    concat(
        time_ago(h.ts, h.scenario_ts), ': ',
        concat_ws(', ', i.title, nullif(array_to_string(i.genres, ' / '), '')),
        ', rated ', CAST(r.rating AS TEXT), '/5'
    ) AS entry
FROM history AS h
JOIN items AS i ON i.item_id = h.item_id
JOIN interactions AS r ON r.user_id = h.user_id AND r.row = h.row;

CREATE VIEW option_text AS
SELECT
    o.scenario_id,
    o.position,
    concat(
        CASE
            WHEN o.scenario_ts >= i.available_at AND o.scenario_ts <= i.available_at + INTERVAL '365 days'
            THEN '(new release) '
            ELSE ''
        END,
        concat_ws(', ', i.title, nullif(array_to_string(i.genres, ' / '), ''))
    ) AS entry
FROM options AS o
JOIN items AS i ON i.item_id = o.item_id;
