-- What a prompt says of a user, of a video watched and of a video shown. `||` with something
-- unknown is null, which `concat_ws` leaves out.
CREATE VIEW profile_text AS
SELECT
    user_id,
    concat_ws(
        chr(10),
        'Country: China',
        'Registered: ' || CAST(register_days AS TEXT) || ' days ago',
        'Friends: ' || CAST(friend_count AS TEXT),
        'Follows: ' || CAST(follow_count AS TEXT),
        'Fans: ' || CAST(fan_count AS TEXT),
        'Activity: ' || activity,
        'Role: ' || role
    ) AS profile
FROM users;

-- The videos of the scenarios, in words, at the times they were watched or shown: the counts
-- are those that were known when that day began in Beijing.
CREATE VIEW video_text AS
SELECT
    item_id,
    ts,
    concat_ws(
        ', ',
        coalesce('"' || rtrim(left(first_words(caption, 20), 60)) || '"', 'no caption'),
        category,
        'cover "' || left(cover_text, 30) || '"',
        CAST(CAST(round(seconds) AS BIGINT) AS TEXT) || ' s',
        'plays ' || short_count(plays[counted_days]),
        'likes ' || short_count(likes[counted_days]),
        'comments ' || short_count(comments[counted_days]),
        'shares ' || short_count(shares[counted_days])
    ) AS words
FROM (
    SELECT
        m.*,
        i.* EXCEPT (item_id),
        CASE WHEN m.day > i.counted_from THEN least(m.day - i.counted_from, CAST(cardinality(i.plays) AS BIGINT)) END
            AS counted_days
    FROM (
        SELECT item_id, ts, CAST(ts + INTERVAL '8 hours' AS DATE) AS day
        FROM (SELECT item_id, ts FROM history UNION SELECT item_id, scenario_ts FROM options)
    ) AS m
    LEFT JOIN items AS i ON i.item_id = m.item_id
);

CREATE VIEW history_text AS
SELECT
    h.scenario_id,
    h.position,
    concat(
        time_ago(h.ts, h.scenario_ts), ': ', v.words, '; ',
        CASE WHEN r.complete THEN 'Complete' ELSE 'Skip' END,
        ', watched ', CAST(CAST(round(r.watched_seconds) AS BIGINT) AS TEXT), ' s'
    ) AS entry
FROM history AS h
JOIN video_text AS v ON v.item_id = h.item_id AND v.ts = h.ts
JOIN interactions AS r ON r.user_id = h.user_id AND r.row = h.row;

CREATE VIEW option_text AS
SELECT o.scenario_id, o.position, v.words AS entry
FROM options AS o
JOIN video_text AS v ON v.item_id = o.item_id AND v.ts = o.scenario_ts;
