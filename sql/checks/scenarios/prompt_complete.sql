-- Every scenario has its texts: no null, no empty line, one line per option.
SELECT scenario_id, profile, history, options
FROM scenarios
WHERE history IS NULL OR history = '' OR options IS NULL OR messages[2]['content'] IS NULL
    OR cardinality(string_to_array(options, chr(10))) <> choice_count
    OR options LIKE concat('%', chr(10), chr(10), '%')
    OR history LIKE concat('%', chr(10), chr(10), '%');
