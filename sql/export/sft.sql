-- Supervised fine-tuning: the chosen conversation alone.
SELECT
    array_append(prompt, named_struct('role', arrow_cast('assistant', 'Utf8View'), 'content', chosen)) AS messages
FROM preferences
ORDER BY scenario_id;
