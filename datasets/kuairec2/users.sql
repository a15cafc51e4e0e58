-- Users with their profile and friends. Most users have no row in social_network.csv.
CREATE VIEW users AS
SELECT
    CAST(user_id AS TEXT) AS user_id,
    replace(nullif(user_active_degree, 'UNKNOWN'), '_', ' ') AS activity,
    register_days,
    friend_user_num AS friend_count,
    follow_user_num AS follow_count,
    fans_user_num AS fan_count,
    nullif(concat_ws(
        ', ',
        CASE WHEN is_video_author THEN 'video author' END,
        CASE WHEN is_live_streamer THEN 'live streamer' END
    ), '') AS role,
    array_remove_all(string_to_array(regexp_replace(friend_list, '[^0-9,]', '', 'g'), ','), '') AS friends,
    file,
    line,
    CASE
        WHEN user_id IS NULL THEN 'no user id'
        WHEN NOT has_features THEN 'user is not in user_features.csv'
        WHEN copy > 1 THEN 'user stands twice'
    END AS quarantined
FROM (
    SELECT
        u.* EXCEPT (user_id, file, line),
        f.friend_list,
        coalesce(u.user_id, f.user_id) AS user_id,
        coalesce(u.file, f.file) AS file,
        coalesce(u.line, f.line) AS line,
        u.file IS NOT NULL AS has_features,
        row_number() OVER (PARTITION BY coalesce(u.user_id, f.user_id) ORDER BY u.line, f.line) AS copy
    FROM raw_users AS u
    FULL JOIN raw_friends AS f ON f.user_id = u.user_id
);
