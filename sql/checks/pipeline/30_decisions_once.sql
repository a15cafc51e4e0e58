-- No two rows of a decision file answer the same scene.
SELECT file, min(line) AS line, max(line) AS other_line, custom_id
FROM batches
GROUP BY file, custom_id
HAVING count(*) > 1
ORDER BY file, line;
