-- Everyone in the log; it tells nothing else of them.
CREATE VIEW users AS
SELECT DISTINCT user_id FROM raw_interactions WHERE user_id IS NOT NULL;
