-- Each option by itself, as reward models judge: would this user choose it, yes or no? The options'
-- chances of a yes, brought to a sum of 1, are the distribution; the likeliest one is taken.
CREATE OR REPLACE VIEW answered AS
WITH options_apart AS (
    SELECT
        scenario_id,
        rotation,
        truth,
        choice_count,
        profile,
        history,
        substr(unnest(string_to_array(options, chr(10))), 5) AS option,
        unnest(generate_series(1, choice_count)) AS place
    FROM shown
),
judged AS (
    SELECT
        scenario_id,
        rotation,
        truth,
        choice_count,
        place,
        choose(
            @model,
            make_array(
                named_struct(
                    'role', 'system',
                    'content', 'You mirror one user of a recommender system. Would this user choose the option?'
                ),
                named_struct(
                    'role', 'user',
                    'content', concat(
                        CASE WHEN profile <> '' THEN concat('## Profile', chr(10), profile, chr(10), chr(10)) END,
                        '## History', chr(10), history, chr(10), chr(10),
                        '## Option', chr(10), option, chr(10), chr(10),
                        '## Exposure', chr(10), '[A] Yes', chr(10), '[B] No'
                    )
                )
            ),
            '',
            2
        ) AS answer
    FROM options_apart
),
scored AS (
    SELECT
        *,
        answer['probs'][1] AS yes,
        sum(answer['probs'][1]) OVER (PARTITION BY scenario_id, rotation) AS total,
        row_number() OVER (PARTITION BY scenario_id, rotation ORDER BY answer['probs'][1] DESC, place) AS rank
    FROM judged
)
SELECT
    scenario_id,
    rotation,
    0 AS draw,
    max(truth) AS truth,
    max(choice_count) AS choice_count,
    max(CASE WHEN rank = 1 THEN place END) AS place,
    array_agg(yes / total ORDER BY place) AS probs,
    max(answer['by']) AS probs_by,
    NULL AS tokens,
    max(answer['error']) AS error
FROM scored
GROUP BY scenario_id, rotation;
