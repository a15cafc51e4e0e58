-- Users: everybody who wrote a review. The files tell nothing else about them.
CREATE VIEW users AS
SELECT
    nullif(uid, '') AS user_id,
    min(file) AS file,
    min(line) AS line,
    CASE WHEN uid = '' THEN 'no user id' END AS quarantined
FROM raw_reviews
GROUP BY uid;
