-- Users: every id of the log. No file lists them, so that a user has no line of its own.
CREATE VIEW users AS
SELECT
    user_id,
    CAST(NULL AS TEXT) AS file,
    CAST(NULL AS BIGINT) AS line,
    CASE WHEN user_id = '' THEN 'user id is missing' END AS quarantined,
    CAST(NULL AS TEXT) AS filtered
FROM (SELECT DISTINCT user_id FROM raw_behaviors);
