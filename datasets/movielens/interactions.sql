-- Ratings. Of users with fewer than 5 sound ratings none is kept; four rows to each side
-- tell, and never hold a whole log in memory.
CREATE VIEW interactions AS
SELECT
    user_id,
    item_id,
    ts,
    row,
    rating,
    file,
    line,
    quarantined,
    CASE
        WHEN quarantined IS NULL
            AND count(*) OVER (
                PARTITION BY user_id, quarantined IS NULL
                ORDER BY row
                ROWS BETWEEN 4 PRECEDING AND 4 FOLLOWING
            ) < 5
        THEN 'user with fewer than 5 ratings'
    END AS filtered
FROM (
    SELECT
        CAST(r.user_id AS TEXT) AS user_id,
        CAST(r.movie_id AS TEXT) AS item_id,
        to_timestamp_seconds(r.seconds) AS ts,
        r.line AS row,
        r.rating,
        r.file,
        r.line,
        CASE
            WHEN r.user_id IS NULL OR u.user_id IS NULL THEN 'user is not in users.dat'
            WHEN r.movie_id IS NULL OR m.movie_id IS NULL THEN 'movie is not in movies.dat'
            WHEN r.rating IS NULL OR r.rating NOT BETWEEN 1 AND 5 THEN 'rating is not 1 to 5'
            -- The site opened in 1995; 2100 is past any log.
            WHEN r.seconds IS NULL OR r.seconds NOT BETWEEN 788918400 AND 4102444800
                THEN 'time is not between 1995 and 2100'
        END AS quarantined
    FROM raw_ratings AS r
    LEFT JOIN (SELECT DISTINCT user_id FROM raw_users) AS u ON u.user_id = r.user_id
    LEFT JOIN (SELECT DISTINCT movie_id FROM raw_movies) AS m ON m.movie_id = r.movie_id
);
