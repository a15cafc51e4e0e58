-- The runs that last worked on these tables, step by step (in `source`): when, with which
-- software, seed and models, and with how the models' weights were stored and where they ran.
-- Rows of an earlier run stay as long as nothing that they were computed from changes;
-- `commits()` tells of every commit.
--
-- inputs: public.scenarios, public.runs
WITH latest AS (
    SELECT r.*
    FROM public.runs AS r
    JOIN public.scenarios AS s
        ON r.output IN ('scenarios', 'decisions', 'scores', 'uncertainty', 'preferences')
        OR starts_with(r.output, concat(s.dataset, '.'))
    WHERE s.scenario_id = $scenario_id
    QUALIFY row_number() OVER (PARTITION BY r.step ORDER BY r.ended_at DESC) = 1
),
told AS (
    SELECT
        step,
        ended_at,
        unnest(['run', 'ended_at', 'software', 'seed', 'models', 'weights']) AS name,
        unnest([
            run, CAST(ended_at AS TEXT), software, json_as_text(parameters, 'seed'), nullif(models, '{}'),
            nullif(weights, '{}')
        ]) AS value,
        unnest(generate_series(1, 6)) AS place
    FROM latest
)
SELECT
    CAST('run' AS TEXT) AS stage,
    CAST(step AS TEXT) AS source,
    CAST(NULL AS BIGINT) AS draw,
    CAST(name AS TEXT) AS name,
    CAST(value AS TEXT) AS value
FROM told
WHERE value IS NOT NULL
ORDER BY ended_at, step, place;
