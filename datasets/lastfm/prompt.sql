-- What a prompt says of a tagged artist and of an option. Last.fm's users have no profile.
CREATE VIEW profile_text AS
SELECT user_id, '' AS profile FROM users;

-- The log as it was: a row a tag that a user gave.
CREATE VIEW taggings AS
SELECT user_id, item_id, row, unnest(tags) AS tag, unnest(tagged_at) AS tagged_at
FROM interactions;

-- How an artist was known at the scenario's time: the five tags given most often before
-- (over the whole log in `paper` mode, the chooser's own included).
CREATE VIEW artist_tags AS
SELECT scenario_id, item_id, string_agg(tag, ', ' ORDER BY place) AS tags
FROM (
    SELECT
        s.scenario_id,
        s.item_id,
        t.tag,
        row_number() OVER (PARTITION BY s.scenario_id, s.item_id ORDER BY count(*) DESC, t.tag) AS place
    FROM (
        SELECT scenario_id, item_id, scenario_ts FROM options
        UNION
        SELECT scenario_id, item_id, scenario_ts FROM history
    ) AS s
    JOIN taggings AS t ON t.item_id = s.item_id AND (t.tagged_at < s.scenario_ts OR @mode = 'paper')
    GROUP BY s.scenario_id, s.item_id, t.tag
)
WHERE place <= 5
GROUP BY scenario_id, item_id;

-- The first five tags that the user gave a remembered artist until then.
CREATE VIEW own_tags AS
SELECT scenario_id, position, string_agg(tag, ', ' ORDER BY place) AS tags
FROM (
    SELECT
        h.scenario_id,
        h.position,
        t.tag,
        row_number() OVER (PARTITION BY h.scenario_id, h.position ORDER BY t.tagged_at, t.tag) AS place
    FROM history AS h
    JOIN taggings AS t ON t.user_id = h.user_id AND t.row = h.row
    WHERE t.tagged_at < h.scenario_ts OR @mode = 'paper'
)
WHERE place <= 5
GROUP BY scenario_id, position;

CREATE VIEW history_text AS
SELECT
    h.scenario_id,
    h.position,
    concat(
        time_ago(h.ts, h.scenario_ts), ': ',
        i.name, coalesce(' (' || a.tags || ')', ''),
        coalesce(', tagged ' || o.tags, '')
    ) AS entry
FROM history AS h
LEFT JOIN items AS i ON i.item_id = h.item_id
LEFT JOIN artist_tags AS a ON a.scenario_id = h.scenario_id AND a.item_id = h.item_id
LEFT JOIN own_tags AS o ON o.scenario_id = h.scenario_id AND o.position = h.position;

CREATE VIEW option_text AS
SELECT
    o.scenario_id,
    o.position,
    concat(
        i.name, coalesce(' (' || a.tags || ')', ''),
        CASE
            WHEN f.friends = 1 THEN ', 1 friend listened'
            WHEN f.friends > 1 THEN concat(', ', CAST(f.friends AS TEXT), ' friends listened')
        END
    ) AS entry
FROM options AS o
LEFT JOIN items AS i ON i.item_id = o.item_id
LEFT JOIN artist_tags AS a ON a.scenario_id = o.scenario_id AND a.item_id = o.item_id
LEFT JOIN friend_counts AS f ON f.scenario_id = o.scenario_id AND f.item_id = o.item_id;
