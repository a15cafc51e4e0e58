-- Published pairs as our preferences. How they were selected is not published: those
-- columns are null.
SELECT
    scenario_id,
    dataset,
    user_id,
    item_id,
    ts,
    exposure,
    chosen_behavior AS truth,
    choice_count,
    CAST(NULL AS BIGINT UNSIGNED) AS rank,
    CAST(NULL AS DOUBLE) AS delta_eu,
    CAST(NULL AS INT) AS chosen_draw,
    CAST(NULL AS DOUBLE) AS chosen_entropy,
    CAST(NULL AS TEXT) AS rejected_source,
    CAST(NULL AS INT) AS rejected_draw,
    rejected_behavior,
    CAST(NULL AS DOUBLE) AS rejected_entropy,
    prompt,
    chosen,
    rejected
FROM pairs
WHERE quarantined IS NULL
ORDER BY scenario_id;
