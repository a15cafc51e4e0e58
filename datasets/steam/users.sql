-- Users, as their reviews name them. `games` is how many games they owned, as their first
-- review tells: a later one would tell of the future.
CREATE VIEW users AS
SELECT
    username AS user_id,
    first_value(products ORDER BY reviewed_at, line) FILTER (WHERE products >= 0) AS games
FROM raw_reviews
WHERE username IS NOT NULL
GROUP BY username;
