-- KuaiRec 2.0's six files: commas, quotes and a header, UTF-8. Columns not named here are not read.
CREATE VIEW raw_users AS
SELECT * FROM read_csv(
    'user_features.csv',
    'user_id BIGINT, user_active_degree TEXT, is_live_streamer BOOLEAN, is_video_author BOOLEAN, follow_user_num BIGINT, fans_user_num BIGINT, friend_user_num BIGINT, register_days BIGINT'
);

-- `friend_list` is a list of numbers: `[4202, 7126]`.
CREATE VIEW raw_friends AS
SELECT * FROM read_csv(
    'social_network.csv',
    'user_id BIGINT, friend_list TEXT'
);

CREATE VIEW raw_tags AS
SELECT * FROM read_csv(
    'item_categories.csv',
    'video_id BIGINT, feat TEXT'
);

-- What is unknown is the word UNKNOWN; `topic_tag` is a list of bare words: `[a,b]`.
CREATE VIEW raw_captions AS
SELECT * FROM read_csv(
    'kuairec_caption_category.csv',
    'video_id BIGINT, manual_cover_text TEXT, caption TEXT, topic_tag TEXT, first_level_category_name TEXT, second_level_category_name TEXT, third_level_category_name TEXT'
);

-- A row per video and day, with the counts of that day alone. Durations in milliseconds.
CREATE VIEW raw_days AS
SELECT
    * EXCEPT (error, raw, date, undated),
    coalesce(error, CASE WHEN undated THEN 'no video, or date not between 2011 and 2100' END) AS error,
    coalesce(raw, CASE WHEN undated THEN concat_ws(',', CAST(video_id AS TEXT), date) END) AS raw
FROM (
    SELECT
        *,
        try_cast(date AS DATE) AS day,
        video_id IS NULL
            OR coalesce(try_cast(date AS DATE) NOT BETWEEN DATE '2011-01-01' AND DATE '2100-01-01', true) AS undated
    FROM read_csv(
        'item_daily_features.csv',
        'video_id BIGINT, date TEXT, upload_dt TEXT, video_duration DOUBLE, play_cnt DOUBLE, like_cnt DOUBLE, comment_cnt DOUBLE, share_cnt DOUBLE'
    )
);

-- Durations in milliseconds, `time` in Beijing, `timestamp` in seconds since 1970 UTC.
CREATE VIEW raw_views AS
SELECT * FROM read_csv(
    'big_matrix.csv',
    'user_id BIGINT, video_id BIGINT, play_duration DOUBLE, video_duration DOUBLE, time TEXT, timestamp DOUBLE, watch_ratio DOUBLE'
);
