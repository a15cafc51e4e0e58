-- Rows by dataset and number of choices.
SELECT dataset, choice_count AS choices, count(*) AS rows
FROM exported
GROUP BY dataset, choice_count
ORDER BY dataset, choice_count;
