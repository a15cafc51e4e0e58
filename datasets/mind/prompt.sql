-- What a prompt says of news read and of an option. MIND's users have no profile, and the
-- clicks before the log have no time.
CREATE VIEW profile_text AS
SELECT user_id, '' AS profile FROM users;

CREATE VIEW history_text AS
SELECT
    h.scenario_id,
    h.position,
    concat(
        CASE WHEN r.dated THEN time_ago(h.ts, h.scenario_ts) ELSE 'earlier' END, ': ',
        concat_ws(', ', i.title, i.category)
    ) AS entry
FROM history AS h
JOIN interactions AS r ON r.user_id = h.user_id AND r.row = h.row
LEFT JOIN items AS i ON i.item_id = h.item_id;

CREATE VIEW option_text AS
SELECT o.scenario_id, o.position, concat_ws(', ', i.title, i.category) AS entry
FROM options AS o
LEFT JOIN items AS i ON i.item_id = o.item_id;
