-- What the weak model makes of each decision: its probabilities of the letters A, B, …,
-- their entropy in bits, the behavior drawn from them, and whether that is the truth.
--
-- inputs: public.scores
WITH told AS (
    SELECT
        source,
        draw,
        unnest(['probs', 'entropy', 'behavior', 'accepted', 'error', 'fingerprint']) AS name,
        unnest([
            array_to_string(probs, ', '), CAST(entropy AS TEXT), behavior,
            CAST(accepted AS TEXT), error, fingerprint
        ]) AS value,
        unnest(generate_series(1, 6)) AS place
    FROM public.scores
    WHERE scenario_id = $scenario_id
)
SELECT
    CAST('score' AS TEXT) AS stage,
    CAST(source AS TEXT) AS source,
    CAST(draw AS BIGINT) AS draw,
    CAST(name AS TEXT) AS name,
    CAST(value AS TEXT) AS value
FROM told
WHERE value IS NOT NULL
ORDER BY source, draw, place;
