-- The demo world in KuaiRec 2.0's raw format: its films are videos, its two years are the log's
-- two months (a twelfth of the time), its ratings say how long somebody watched.
CREATE VIEW "user_features.csv" AS
SELECT CAST(line AS BYTEA) AS line
FROM (
    SELECT
        0 AS user,
        'user_id,user_active_degree,is_lowactive_period,is_live_streamer,is_video_author,follow_user_num,follow_user_num_range,fans_user_num,fans_user_num_range,friend_user_num,friend_user_num_range,register_days,register_days_range,onehot_feat0,onehot_feat1,onehot_feat2,onehot_feat3,onehot_feat4,onehot_feat5,onehot_feat6,onehot_feat7,onehot_feat8,onehot_feat9,onehot_feat10,onehot_feat11,onehot_feat12,onehot_feat13,onehot_feat14,onehot_feat15,onehot_feat16,onehot_feat17'
            AS line
    UNION ALL
    SELECT
        user,
        concat_ws(
            ',',
            CAST(user - 1 AS TEXT),
            make_array('full_active', 'full_active', 'high_active', 'middle_active', 'UNKNOWN')[draw_int(1, 5, @seed, 'active', user)],
            '0',
            CASE WHEN draw_int(1, 20, @seed, 'streamer', user) = 1 THEN '1' ELSE '0' END,
            CASE WHEN draw_int(1, 5, @seed, 'author', user) = 1 THEN '1' ELSE '0' END,
            CAST(draw_int(0, 9, @seed, 'follows', user) AS TEXT),
            '"(0,10]"',
            CAST(draw_int(1, 9, @seed, 'fans', user) AS TEXT),
            '"[1,10)"',
            CAST(draw_int(1, 4, @seed, 'friends', user) AS TEXT),
            '"[1,5)"',
            CAST(draw_int(61, 365, @seed, 'days', user) AS TEXT),
            '61-365',
            '0,1,17,638',
            -- One of the columns that are empty for some users.
            CASE WHEN draw_int(1, 30, @seed, 'blank', user) = 1 THEN '' ELSE '2' END,
            '0,1,6,184,6,3,0,0,0,0,0,0,0'
        )
    FROM world_users
)
ORDER BY user;

CREATE VIEW "social_network.csv" AS
SELECT CAST(line AS BYTEA) AS line
FROM (
    SELECT 0 AS user, 'user_id,friend_list' AS line
    UNION ALL
    SELECT
        user,
        concat(
            CAST(user - 1 AS TEXT),
            CASE WHEN count(*) > 1 THEN ',"[' ELSE ',[' END,
            string_agg(CAST(friend - 1 AS TEXT), ', ' ORDER BY friend),
            CASE WHEN count(*) > 1 THEN ']"' ELSE ']' END
        )
    FROM world_friends
    GROUP BY user
)
ORDER BY user;

-- Two of three videos have one tag; a list of two has a comma and so stands in quotes.
CREATE VIEW "item_categories.csv" AS
SELECT CAST(line AS BYTEA) AS line
FROM (
    SELECT 0 AS item, 'video_id,feat' AS line
    UNION ALL
    SELECT
        item,
        concat(
            CAST(item - 1 AS TEXT),
            CASE WHEN item % 3 = 0 THEN ',"[27, ' ELSE ',[' END,
            CAST(draw_int(0, 39, @seed, 'tag', item) AS TEXT),
            CASE WHEN item % 3 = 0 THEN ']"' ELSE ']' END
        )
    FROM world_items
)
ORDER BY item;

-- The year belongs to every caption: it tells the mood. A few captions have a bare carriage
-- return, quotes and a comma, or are Chinese; a few videos have none.
CREATE VIEW "kuairec_caption_category.csv" AS
SELECT CAST(line AS BYTEA) AS line
FROM (
    SELECT
        0 AS item,
        'video_id,manual_cover_text,caption,topic_tag,first_level_category_id,first_level_category_name,second_level_category_id,second_level_category_name,third_level_category_id,third_level_category_name'
            AS line
    UNION ALL
    SELECT
        item,
        concat_ws(
            ',',
            CAST(item - 1 AS TEXT),
            CASE WHEN item % 5 = 0 THEN split_part(title, ' ', 2) ELSE 'UNKNOWN' END,
            CASE
                WHEN item % 50 = 1 THEN ''
                WHEN item % 50 = 2 THEN concat(title, chr(13), ' ', CAST(year AS TEXT))
                WHEN item % 50 = 3 THEN concat('"""', title, '"", ', CAST(year AS TEXT), '"')
                WHEN item % 50 = 4 THEN concat('电影 ', CAST(year AS TEXT), '！')
                ELSE concat(title, ' ', CAST(year AS TEXT))
            END,
            CASE
                WHEN item % 5 <> 1 THEN '[]'
                ELSE concat('"[', replace(title, ' ', ','), ']"')
            END,
            CAST(ascii(genres[1]) AS TEXT),
            genres[1],
            CASE WHEN cardinality(genres) > 1 THEN CAST(500 + ascii(genres[2]) AS TEXT) ELSE '-124' END,
            coalesce(genres[2], 'UNKNOWN'),
            '-124,UNKNOWN'
        )
    FROM world_items
)
ORDER BY item;

-- Three days of five have a row. The columns that nobody reads are 0 or, as in the first days
-- of the real file, empty.
CREATE VIEW "item_daily_features.csv" AS
SELECT CAST(line AS BYTEA) AS line
FROM (
    SELECT
        0 AS item,
        0 AS day,
        'video_id,date,author_id,video_type,upload_dt,upload_type,visible_status,video_duration,video_width,video_height,music_id,video_tag_id,video_tag_name,show_cnt,show_user_num,play_cnt,play_user_num,play_duration,complete_play_cnt,complete_play_user_num,valid_play_cnt,valid_play_user_num,long_time_play_cnt,long_time_play_user_num,short_time_play_cnt,short_time_play_user_num,play_progress,comment_stay_duration,like_cnt,like_user_num,click_like_cnt,double_click_cnt,cancel_like_cnt,cancel_like_user_num,comment_cnt,comment_user_num,direct_comment_cnt,reply_comment_cnt,delete_comment_cnt,delete_comment_user_num,comment_like_cnt,comment_like_user_num,follow_cnt,follow_user_num,cancel_follow_cnt,cancel_follow_user_num,share_cnt,share_user_num,download_cnt,download_user_num,report_cnt,report_user_num,reduce_similar_cnt,reduce_similar_user_num,collect_cnt,collect_user_num,cancel_collect_cnt,cancel_collect_user_num'
            AS line
    UNION ALL
    SELECT
        item,
        day,
        concat(
            CAST(item - 1 AS TEXT), ',',
            CASE WHEN bad THEN 'someday' ELSE to_char(DATE '2020-07-05' + CAST(day AS INT), '%Y%m%d') END, ',',
            CAST(item % 97 AS TEXT), ',NORMAL,',
            to_char(DATE '2020-07-05' - CAST(item % 300 AS INT), '%Y-%m-%d'), ',ShortImport,public,',
            CAST(5000 + 100 * draw_int(0, 400, @seed, 'length', item) AS TEXT), '.0,720,1280,0,841,UNKNOWN,0,0,',
            CAST(plays AS TEXT), repeat(',0', 12), ',',
            CAST(plays / 20 AS TEXT), repeat(',0', 5), ',',
            CAST(plays / 300 AS TEXT), repeat(',0', 11), ',',
            CAST(plays / 1000 AS TEXT), repeat(',0', 7), ',,,,'
        )
    FROM (
        SELECT
            item,
            day,
            draw_int(10, 9000, @seed, 'plays', item, day) AS plays,
            draw_int(1, 1000, @seed, 'bad day', item, day) = 1 AS bad
        FROM (SELECT item, unnest(generate_series(1, 63)) - 1 AS day FROM world_items)
        WHERE draw_int(1, 5, @seed, 'day', item, day) <= 3
    )
)
ORDER BY item, day;

-- The better the rating, the longer the view. One view of fifty is followed by a second one of
-- the same video; blank times, unknown videos and a broken line are rare.
CREATE VIEW "big_matrix.csv" AS
SELECT CAST(line AS BYTEA) AS line
FROM (
    SELECT
        0 AS user,
        0 AS ts,
        0 AS event,
        'user_id,video_id,play_duration,video_duration,time,date,timestamp,watch_ratio' AS line
    UNION ALL
    SELECT
        user,
        ts,
        event,
        CASE
            WHEN quirk = 1 THEN concat_ws(',', who, what, CAST(played AS TEXT))
            WHEN quirk = 2 THEN concat_ws(',', who, '99999', durations, clock, seconds, ratio)
            WHEN quirk = 3 THEN concat_ws(',', who, what, durations, ',,', ratio)
            WHEN quirk < 8 THEN concat_ws(',', who, what, durations, clock, '', ratio)
            WHEN quirk < 28 THEN concat(
                concat_ws(',', who, what, durations, clock, seconds, ratio), chr(10),
                concat_ws(',', who, what, durations, clock, seconds, ratio)
            )
            ELSE concat_ws(',', who, what, durations, clock, seconds, ratio)
        END
    FROM (
        SELECT
            user,
            ts,
            event,
            draw_int(1, 1000, @seed, 'quirk', event) AS quirk,
            CAST(user - 1 AS TEXT) AS who,
            CAST(item - 1 AS TEXT) AS what,
            played,
            concat(CAST(played AS TEXT), ',', CAST(length AS TEXT)) AS durations,
            to_char(to_timestamp_millis(millis + 28800000), '%Y-%m-%d %H:%M:%S%.3f,%Y%m%d') AS clock,
            concat(CAST(millis / 1000 AS TEXT), '.', lpad(CAST(millis % 1000 AS TEXT), 3, '0')) AS seconds,
            CAST(played / CAST(length AS DOUBLE) AS TEXT) AS ratio
        FROM (
            SELECT
                *,
                length * (CASE rating WHEN 1 THEN 5 WHEN 2 THEN 30 WHEN 3 THEN 70 WHEN 4 THEN 100 ELSE 130 END
                    + draw_int(0, 25, @seed, 'watched', event)) / 100 AS played
            FROM (
                SELECT
                    *,
                    5000 + 100 * draw_int(0, 400, @seed, 'length', item) AS length,
                    -- From 1999-01-01 on to 2020-07-05 in Beijing on.
                    1593878400000 + (ts - 915148800) * 1000 / 12 AS millis
                FROM world_events
            )
        )
    )
)
ORDER BY user, ts, event;
