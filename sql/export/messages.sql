-- Two whole conversations a row, beside what they are about: the form in which such
-- preference sets are published.
SELECT
    dataset,
    user_id,
    item_id,
    ts AS timestamp,
    array_append(prompt, named_struct('role', arrow_cast('assistant', 'Utf8View'), 'content', chosen)) AS messages_chosen,
    array_append(prompt, named_struct('role', arrow_cast('assistant', 'Utf8View'), 'content', rejected)) AS messages_rejected,
    exposure AS impression_list,
    letter_index(truth) - 1 AS item_pos
FROM preferences
ORDER BY scenario_id;
