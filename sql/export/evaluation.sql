-- The held-out scenarios as texts and ids: the form in which such evaluation sets are
-- published. Any simulator can be asked them, with instructions of its own.
SELECT
    named_struct(
        'action_list', string_to_array(regexp_replace(options, '^\[[A-Z]\] ', '', 'gm'), chr(10)),
        'history', history,
        'profile', profile
    ) AS text,
    user_id,
    item_id,
    ts AS timestamp,
    letter_index(truth) - 1 AS item_pos,
    choice_count AS choice_cnt,
    dataset,
    exposure AS impression_list
FROM scenarios
WHERE split = 'eval'
ORDER BY scenario_id;
