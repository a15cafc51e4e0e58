-- The scenarios of published pairs, as far as the rows tell; the prompt stays as published.
SELECT
    scenario_id,
    dataset,
    kind AS split,
    user_id,
    item_id,
    ts,
    CAST(NULL AS BIGINT) AS row,
    exposure,
    chosen_behavior AS truth,
    choice_count,
    parts[1] AS profile,
    parts[2] AS history,
    parts[3] AS options,
    prompt AS messages,
    md5(concat_ws(chr(31), chosen_behavior, choice_count, question)) AS fingerprint
FROM pairs
WHERE quarantined IS NULL
ORDER BY scenario_id;
