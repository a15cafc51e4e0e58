-- The logged choice that the scenario is about: who took which item when, and in which row
-- of the raw log. What an import brought has no raw row here.
--
-- inputs: public.scenarios, interactions
WITH told AS (
    SELECT
        unnest(['row', 'ts', 'user', 'item']) AS name,
        unnest([CAST(i.row AS TEXT), CAST(i.ts AS TEXT), i.user_id, i.item_id]) AS value,
        unnest(generate_series(1, 4)) AS place
    FROM interactions AS i
    JOIN public.scenarios AS s ON s.user_id = i.user_id AND s.item_id = i.item_id AND s.row = i.row
    WHERE s.scenario_id = $scenario_id
)
SELECT
    CAST('raw' AS TEXT) AS stage,
    CAST(NULL AS TEXT) AS source,
    CAST(NULL AS BIGINT) AS draw,
    CAST(name AS TEXT) AS name,
    CAST(value AS TEXT) AS value
FROM told
WHERE value IS NOT NULL
ORDER BY place;
