-- How uncertain the weak model is after the decisions of each model, in bits: epistemic
-- (eu), total (tu) and aleatoric (au), and the epistemic gap between the two. Nothing for
-- a scenario that no decision explains.
--
-- inputs: public.uncertainty
WITH measured AS (
    SELECT * FROM public.uncertainty WHERE scenario_id = $scenario_id
),
told AS (
    SELECT
        'strong' AS source,
        unnest(['eu', 'tu', 'au', 'accuracy']) AS name,
        unnest([eu_strong, tu_strong, au_strong, accuracy_strong]) AS value,
        unnest(generate_series(1, 4)) AS place
    FROM measured
    UNION ALL
    SELECT
        'weak',
        unnest(['eu', 'tu', 'au', 'accuracy']),
        unnest([eu_weak, tu_weak, au_weak, accuracy_weak]),
        unnest(generate_series(5, 8))
    FROM measured
    UNION ALL
    SELECT NULL, 'delta_eu', delta_eu, 9
    FROM measured
)
SELECT
    CAST('uncertainty' AS TEXT) AS stage,
    CAST(source AS TEXT) AS source,
    CAST(NULL AS BIGINT) AS draw,
    CAST(name AS TEXT) AS name,
    CAST(value AS TEXT) AS value
FROM told
WHERE value IS NOT NULL
ORDER BY place;
