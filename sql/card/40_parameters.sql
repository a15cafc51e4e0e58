-- The parameters and the seed, with the steps that ran under each value.
WITH latest AS (
    SELECT step, parameters
    FROM made
    QUALIFY row_number() OVER (PARTITION BY step, output ORDER BY ended_at DESC) = 1
),
valued AS (
    SELECT DISTINCT step, name, json_as_text(parameters, name) AS value
    FROM (SELECT step, parameters, unnest(json_object_keys(parameters)) AS name FROM latest)
)
SELECT name AS parameter, value, string_agg(step, ', ' ORDER BY step) AS steps
FROM valued
GROUP BY name, value
ORDER BY parameter, value;
