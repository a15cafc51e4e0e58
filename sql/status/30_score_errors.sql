-- Scores with errors, by kind.
--
-- inputs: scores
SELECT source, error, count(*) AS rows
FROM scores
WHERE error IS NOT NULL
GROUP BY source, error
ORDER BY rows DESC, source, error
LIMIT 20;
