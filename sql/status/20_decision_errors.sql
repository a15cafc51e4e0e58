-- Decisions with errors, by kind.
--
-- inputs: decisions
SELECT source, error, count(*) AS rows
FROM decisions
WHERE error IS NOT NULL
GROUP BY source, error
ORDER BY rows DESC, source, error
LIMIT 20;
