-- The scenario built around it: what was shown, which option was taken, and the prompt's
-- fingerprint and length in characters.
--
-- inputs: public.scenarios
WITH asked AS (
    SELECT scenario_id, sum(character_length(message['content'])) AS characters
    FROM (SELECT scenario_id, unnest(messages) AS message FROM public.scenarios)
    GROUP BY scenario_id
),
told AS (
    SELECT
        unnest([
            'dataset', 'split', 'exposure', 'truth', 'choice_count',
            'prompt fingerprint', 'prompt characters'
        ]) AS name,
        unnest([
            s.dataset, s.split, array_to_string(s.exposure, ', ', '?'), s.truth, CAST(s.choice_count AS TEXT),
            s.fingerprint, CAST(a.characters AS TEXT)
        ]) AS value,
        unnest(generate_series(1, 7)) AS place
    FROM public.scenarios AS s
    JOIN asked AS a ON a.scenario_id = s.scenario_id
    WHERE s.scenario_id = $scenario_id
)
SELECT
    CAST('scenario' AS TEXT) AS stage,
    CAST(NULL AS TEXT) AS source,
    CAST(NULL AS BIGINT) AS draw,
    CAST(name AS TEXT) AS name,
    CAST(value AS TEXT) AS value
FROM told
WHERE value IS NOT NULL
ORDER BY place;
