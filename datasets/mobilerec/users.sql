-- Users: everybody who wrote a review. The files tell nothing else about them; a review without a
-- user is quarantined with the interactions.
CREATE VIEW users AS
SELECT uid AS user_id, min(file) AS file, min(line) AS line
FROM raw_reviews
WHERE uid <> ''
GROUP BY uid;
