-- Supervised fine-tuning: the chosen conversation alone.
SELECT array_append(prompt, named_struct('role', 'assistant', 'content', chosen)) AS messages
FROM preferences
ORDER BY scenario_id;
