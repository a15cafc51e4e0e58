-- Decision first, as the paper has it: @samples decisions of model @model, each with the letter that
-- it ends in and the distribution over the letters there.
CREATE OR REPLACE VIEW answered AS
WITH written AS (
    SELECT scenario_id, rotation, truth, choice_count, messages, unnest(decisions) AS decision
    FROM (SELECT *, decide(@model, messages, @samples) AS decisions FROM shown)
),
weighed AS (
    SELECT
        *,
        -- One that broke off is no answer.
        first_probs(
            CASE WHEN decision['finish'] = 'behavior' THEN decision['letter_probs'] END, choice_count
        ) AS own_probs,
        -- Nothing is asked where there is no text.
        choose(
            @model,
            messages,
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
    decision['tokens'] AS tokens,
    coalesce(decision['error'], answer['error']) AS error
FROM weighed;
