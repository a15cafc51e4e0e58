-- Users: every id that occurs in the log, the listening counts or the friendships. No file
-- lists them, so that a user has no line of its own.
CREATE VIEW users AS
SELECT
    CAST(u.user_id AS TEXT) AS user_id,
    f.friends,
    CAST(NULL AS TEXT) AS file,
    CAST(NULL AS BIGINT) AS line,
    CASE WHEN u.user_id IS NULL THEN 'user id is missing' END AS quarantined,
    CAST(NULL AS TEXT) AS filtered
FROM (
    SELECT user_id FROM raw_taggings
    UNION SELECT user_id FROM raw_listens
    UNION SELECT user_id FROM raw_friends
    UNION SELECT friend_id FROM raw_friends
) AS u
LEFT JOIN (
    SELECT user_id, array_agg(DISTINCT CAST(friend_id AS TEXT) ORDER BY CAST(friend_id AS TEXT)) AS friends
    FROM raw_friends
    WHERE friend_id <> user_id
    GROUP BY user_id
) AS f ON f.user_id = u.user_id;
