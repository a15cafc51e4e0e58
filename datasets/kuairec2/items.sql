-- Videos. One is available from its upload date on, midnight in Beijing (UTC+8).
--
-- `plays[n]` is what the daily plays had added up to when the n-th day from `counted_from` on was
-- over, days without a row included; so are `likes`, `comments` and `shares`. Prompts show a video
-- as it stood when the day began.
CREATE VIEW items AS
WITH days AS (
    -- A day that stands twice counts once.
    SELECT
        video_id,
        day,
        min(try_cast(upload_dt AS DATE)) AS uploaded_on,
        max(video_duration) AS duration,
        max(play_cnt) AS plays,
        max(like_cnt) AS likes,
        max(comment_cnt) AS comments,
        max(share_cnt) AS shares,
        min(file) AS file,
        min(line) AS line
    FROM raw_days
    GROUP BY video_id, day
),
spans AS (
    SELECT
        video_id,
        min(uploaded_on) AS uploaded_on,
        max(duration) AS duration,
        min(day) AS first_day,
        max(day) AS last_day,
        min(file) AS file,
        min(line) AS line
    FROM days
    GROUP BY video_id
),
sums AS (
    SELECT
        s.video_id,
        s.day,
        sum(d.plays) OVER so_far AS plays,
        sum(d.likes) OVER so_far AS likes,
        sum(d.comments) OVER so_far AS comments,
        sum(d.shares) OVER so_far AS shares
    FROM (
        SELECT video_id, unnest(generate_series(first_day, last_day, INTERVAL '1 day')) AS day FROM spans
    ) AS s
    LEFT JOIN days AS d ON d.video_id = s.video_id AND d.day = s.day
    WINDOW so_far AS (PARTITION BY s.video_id ORDER BY s.day)
),
counted AS (
    SELECT
        video_id,
        array_agg(CAST(plays AS BIGINT) ORDER BY day) AS plays,
        array_agg(CAST(likes AS BIGINT) ORDER BY day) AS likes,
        array_agg(CAST(comments AS BIGINT) ORDER BY day) AS comments,
        array_agg(CAST(shares AS BIGINT) ORDER BY day) AS shares
    FROM sums
    GROUP BY video_id
),
videos AS (
    SELECT
        coalesce(t.video_id, c.video_id, s.video_id) AS video_id,
        nullif(one_line(c.caption), '') AS caption,
        one_line(nullif(nullif(c.manual_cover_text, 'UNKNOWN'), '')) AS cover_text,
        nullif(replace(btrim(c.topic_tag, '[]'), ',', ' '), '') AS topics,
        nullif(concat_ws(
            ' / ',
            one_line(nullif(c.first_level_category_name, 'UNKNOWN')),
            one_line(nullif(c.second_level_category_name, 'UNKNOWN')),
            one_line(nullif(c.third_level_category_name, 'UNKNOWN'))
        ), '') AS category,
        s.duration / 1000 AS seconds,
        s.uploaded_on,
        s.first_day,
        coalesce(t.file, c.file, s.file) AS file,
        coalesce(t.line, c.line, s.line) AS line,
        row_number() OVER (
            PARTITION BY coalesce(t.video_id, c.video_id, s.video_id) ORDER BY t.line, c.line
        ) AS copy
    FROM raw_tags AS t
    FULL JOIN raw_captions AS c ON c.video_id = t.video_id
    FULL JOIN spans AS s ON s.video_id = coalesce(t.video_id, c.video_id)
)
SELECT
    CAST(v.video_id AS TEXT) AS item_id,
    v.caption,
    v.cover_text,
    v.category,
    v.seconds,
    v.first_day AS counted_from,
    n.plays,
    n.likes,
    n.comments,
    n.shares,
    CAST(v.uploaded_on AS TIMESTAMP) - INTERVAL '8 hours' AS available_at,
    concat_ws(' ', v.caption, v.cover_text, v.topics, v.category) AS text,
    v.file,
    v.line,
    CASE
        WHEN v.video_id IS NULL THEN 'no video id'
        WHEN v.copy > 1 THEN 'video stands twice'
    END AS quarantined
FROM videos AS v
LEFT JOIN counted AS n ON n.video_id = v.video_id;
