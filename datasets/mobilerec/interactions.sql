-- Reviews, all of them. Times are whole days, so a user's reviews of one day share theirs.
CREATE VIEW interactions AS
SELECT
    nullif(user_id, '') AS user_id,
    nullif(item_id, '') AS item_id,
    CASE WHEN quarantined IS NULL THEN to_timestamp_seconds(CAST(seconds AS BIGINT)) END AS ts,
    line AS row,
    CASE WHEN quarantined IS NULL THEN CAST(rating AS INT) END AS rating,
    nullif(one_line(review), '') AS review,
    file,
    line,
    quarantined
FROM (
    SELECT
        r.uid AS user_id,
        r.app_package AS item_id,
        r.unix_timestamp AS seconds,
        r.rating,
        r.review,
        r.file,
        r.line,
        CASE
            WHEN r.uid = '' THEN 'no user id'
            WHEN a.app_package IS NULL THEN 'app is not in app_meta.csv'
            WHEN r.rating IS NULL OR r.rating NOT IN (1, 2, 3, 4, 5) THEN 'rating is not 1 to 5'
            -- The store opened in 2008; 2100 is past any log.
            WHEN r.unix_timestamp IS NULL OR r.unix_timestamp NOT BETWEEN 1199145600 AND 4102444800
                THEN 'time is not between 2008 and 2100'
        END AS quarantined
    FROM raw_reviews AS r
    LEFT JOIN (SELECT DISTINCT app_package FROM raw_apps WHERE app_package <> '') AS a
        ON a.app_package = r.app_package
);
