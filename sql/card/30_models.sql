-- The models, by name and by the fingerprint of their files (or the name a batch gave).
SELECT DISTINCT step, name AS model, json_as_text(models, name) AS fingerprint
FROM (
    SELECT step, models, unnest(json_object_keys(models)) AS name
    FROM made
    QUALIFY row_number() OVER (PARTITION BY step, output ORDER BY ended_at DESC) = 1
)
ORDER BY step, model;
