-- What each model wrote, draw by draw: the letter as written, how the text ended, or the
-- error; and the fingerprint of what the row was computed from.
--
-- inputs: public.decisions
WITH told AS (
    SELECT
        source,
        draw,
        unnest(['letter', 'finish', 'tokens', 'error', 'fingerprint', 'text']) AS name,
        unnest([letter, finish, CAST(tokens AS TEXT), error, fingerprint, text]) AS value,
        unnest(generate_series(1, 6)) AS place
    FROM public.decisions
    WHERE scenario_id = $scenario_id
)
SELECT
    CAST('decision' AS TEXT) AS stage,
    CAST(source AS TEXT) AS source,
    CAST(draw AS BIGINT) AS draw,
    CAST(name AS TEXT) AS name,
    CAST(value AS TEXT) AS value
FROM told
WHERE value IS NOT NULL
ORDER BY source, draw, place;
