-- Training and evaluation share no user, or, when split by time, no stretch of time.
WITH train AS (
    SELECT user_id, max(ts) AS until FROM scenarios WHERE split = 'train' GROUP BY user_id
),
eval AS (
    SELECT user_id, min(ts) AS since FROM scenarios WHERE split = 'eval' GROUP BY user_id
)
SELECT t.user_id AS train_user, e.user_id AS eval_user, t.until, e.since
FROM train AS t
JOIN eval AS e ON e.user_id = t.user_id
WHERE @split_by = 'user'
UNION ALL
SELECT NULL, NULL, until, since
FROM (SELECT max(until) AS until FROM train)
CROSS JOIN (SELECT min(since) AS since FROM eval)
WHERE @split_by = 'time' AND until >= since;
