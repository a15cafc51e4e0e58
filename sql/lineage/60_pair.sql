-- The pair that training gets: which decision is the chosen one, which the rejected one,
-- and the scenario's rank in its stratum, by the strategy that selected it.
--
-- inputs: public.preferences
WITH pair AS (
    SELECT * FROM public.preferences WHERE scenario_id = $scenario_id
),
told AS (
    SELECT
        CAST(NULL AS TEXT) AS source,
        CAST(NULL AS BIGINT) AS draw,
        unnest(['stratum', 'rank']) AS name,
        unnest([concat(dataset, ', ', choice_count, ' choices'), CAST(rank AS TEXT)]) AS value,
        unnest(generate_series(1, 2)) AS place
    FROM pair
    UNION ALL
    SELECT
        CASE WHEN chosen_draw IS NOT NULL THEN 'strong' END,
        chosen_draw,
        unnest(['chosen behavior', 'chosen entropy']),
        unnest([truth, CAST(chosen_entropy AS TEXT)]),
        unnest(generate_series(3, 4))
    FROM pair
    UNION ALL
    SELECT
        rejected_source,
        rejected_draw,
        unnest(['rejected behavior', 'rejected entropy']),
        unnest([rejected_behavior, CAST(rejected_entropy AS TEXT)]),
        unnest(generate_series(5, 6))
    FROM pair
)
SELECT
    CAST('pair' AS TEXT) AS stage,
    CAST(source AS TEXT) AS source,
    CAST(draw AS BIGINT) AS draw,
    CAST(name AS TEXT) AS name,
    CAST(value AS TEXT) AS value
FROM told
WHERE value IS NOT NULL
ORDER BY place;
