-- Views, each one a row: a user may watch a video again. A view is complete when it lasted as
-- long as the video and was no short play, which ends before 3 seconds and before the video does.
-- At 12.5 million rows nothing here is sorted or grouped: the joins hold a list of ids each.
CREATE VIEW interactions AS
SELECT
    CAST(user_id AS TEXT) AS user_id,
    CAST(video_id AS TEXT) AS item_id,
    to_timestamp_millis(CAST(round(1000 * seconds) AS BIGINT)) AS ts,
    line AS row,
    play_duration / 1000 AS watched_seconds,
    coalesce(watch_ratio, play_duration / video_duration) >= 1
        AND play_duration >= least(3000, video_duration) AS complete,
    file,
    line,
    quarantined
FROM (
    SELECT
        r.* EXCEPT (seconds),
        -- Kuaishou began in 2011; 2100 is past any log.
        CASE WHEN r.seconds BETWEEN 1293840000 AND 4102444800 THEN r.seconds END AS seconds,
        CASE
            WHEN u.user_id IS NULL THEN 'user is not in user_features.csv'
            WHEN v.video_id IS NULL THEN 'video is in none of the other files'
            WHEN r.seconds IS NULL THEN 'no time'
            WHEN r.seconds NOT BETWEEN 1293840000 AND 4102444800 THEN 'time is not between 2011 and 2100'
            WHEN r.play_duration IS NULL OR r.play_duration < 0 THEN 'time watched is missing or negative'
            WHEN r.video_duration IS NULL OR r.video_duration <= 0 THEN 'video has no length'
        END AS quarantined
    FROM (
        SELECT
            *,
            -- Where the timestamp is blank, the clock in Beijing tells.
            coalesce(
                timestamp,
                date_part('epoch', parse_time(time, '%Y-%m-%d %H:%M:%S%.f') - INTERVAL '8 hours')
            ) AS seconds
        FROM raw_views
    ) AS r
    LEFT JOIN (SELECT DISTINCT user_id FROM raw_users) AS u ON u.user_id = r.user_id
    LEFT JOIN (
        SELECT video_id FROM raw_tags
        UNION SELECT video_id FROM raw_captions
        UNION SELECT video_id FROM raw_days
    ) AS v ON v.video_id = r.video_id
);
