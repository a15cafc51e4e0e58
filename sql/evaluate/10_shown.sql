-- Held-out scenarios as they are put before a model. Rotation r shows at each place what was r
-- places further on: 0 is how it was shown, and @rotations says how many there are (at most one
-- a place). A prompt that does not end with its options cannot be rotated.
CREATE OR REPLACE VIEW shown AS
WITH asked AS (
    SELECT
        scenario_id,
        truth,
        choice_count,
        profile,
        history,
        options,
        messages,
        messages[-1]['content'] AS question,
        unnest(generate_series(0, least(@rotations, choice_count) - 1)) AS rotation
    FROM scenarios
    WHERE split = 'eval'
),
lines AS (
    SELECT
        scenario_id,
        rotation,
        choice_count,
        unnest(string_to_array(options, chr(10))) AS line,
        unnest(generate_series(1, choice_count)) AS place
    FROM asked
    WHERE rotation > 0
),
rotated AS (
    SELECT
        scenario_id,
        rotation,
        -- Sorted by their letters, since each begins with its own.
        array_to_string(array_sort(array_agg(
            concat('[', letter((place - 1 - rotation + choice_count) % choice_count + 1), '] ', substr(line, 5))
        )), chr(10)) AS options
    FROM lines
    GROUP BY scenario_id, rotation
)
SELECT
    a.scenario_id, a.rotation, a.truth, a.choice_count, a.profile, a.history, a.options, a.messages
FROM asked AS a
WHERE a.rotation = 0
UNION ALL
SELECT
    a.scenario_id,
    a.rotation,
    a.truth,
    a.choice_count,
    a.profile,
    a.history,
    r.options,
    array_push_back(
        array_pop_back(a.messages),
        named_struct(
            'role', a.messages[-1]['role'],
            'content', concat(left(a.question, character_length(a.question) - character_length(a.options)), r.options)
        )
    ) AS messages
FROM asked AS a
JOIN rotated AS r ON r.scenario_id = a.scenario_id AND r.rotation = a.rotation
WHERE ends_with(a.question, a.options);
