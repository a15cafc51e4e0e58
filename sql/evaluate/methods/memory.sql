-- With a memory, in the way of agents that simulate users (Agent4Rec, AgentCF, RecMind): model @model
-- first puts what it knows of the user into words of its own, and then decides by that summary alone.
CREATE OR REPLACE VIEW answered AS
WITH noted AS (
    SELECT
        *,
        decide(
            @model,
            make_array(
                named_struct(
                    'role', 'system',
                    'content', 'You keep the memory of one user of a recommender system.'
                ),
                named_struct(
                    'role', 'user',
                    'content', concat(
                        CASE WHEN profile <> '' THEN concat('## Profile', chr(10), profile, chr(10), chr(10)) END,
                        '## History', chr(10), history, chr(10), chr(10),
                        'Sum up in three sentences what this user likes, avoids, and may want now.'
                    )
                )
            ),
            1
        )[1] AS note
    FROM shown
),
written AS (
    SELECT scenario_id, rotation, truth, choice_count, prompt, note, unnest(decisions) AS decision
    FROM (
        SELECT *, decide(@model, prompt, @samples) AS decisions
        FROM (
            SELECT
                *,
                make_array(
                    messages[1],
                    named_struct(
                        'role', 'user',
                        'content', concat(
                            '## Memory', chr(10), note['text'], chr(10), chr(10), '## Exposure', chr(10), options
                        )
                    )
                ) AS prompt
            FROM noted
        )
    )
),
weighed AS (
    SELECT
        *,
        first_probs(decision['letter_probs'], choice_count) AS own_probs,
        choose(
            @model,
            prompt,
            CASE
                WHEN decision['finish'] = 'behavior' AND decision['letter_probs'] IS NULL THEN decision['text']
            END,
            choice_count
        ) AS answer
    FROM written
)
SELECT
    scenario_id,
    rotation,
    decision['draw'] AS draw,
    truth,
    choice_count,
    letter_index(decision['letter']) AS place,
    coalesce(own_probs, answer['probs']) AS probs,
    CASE WHEN own_probs IS NULL THEN answer['by'] ELSE 'logits' END AS probs_by,
    note['tokens'] + decision['tokens'] AS tokens,
    coalesce(note['error'], decision['error'], answer['error']) AS error
FROM weighed;
