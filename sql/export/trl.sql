-- TRL's explicit conversational form: prompt, chosen and rejected are lists of messages.
SELECT
    prompt,
    make_array(named_struct('role', 'assistant', 'content', chosen)) AS chosen,
    make_array(named_struct('role', 'assistant', 'content', rejected)) AS rejected
FROM preferences
ORDER BY scenario_id;
