-- Five decisions of each model for every held-out scenario, decision first, at temperature 1 and
-- top-p 0.9. Needs the models under the names `base`, `sft` and `dpo`. All three draw with the same
-- random numbers, which makes their differences steadier than their accuracies.
CREATE OR REPLACE TABLE answers AS
WITH asked AS (
    SELECT scenario_id, user_id, truth, choice_count, messages
    FROM scenarios
    WHERE split = 'eval'
),
decided AS (
    SELECT 'base' AS model, *, unnest(decide('base', messages, 5)) AS decision FROM asked
    UNION ALL
    SELECT 'sft' AS model, *, unnest(decide('sft', messages, 5)) AS decision FROM asked
    UNION ALL
    SELECT 'dpo' AS model, *, unnest(decide('dpo', messages, 5)) AS decision FROM asked
)
SELECT
    model,
    scenario_id,
    user_id,
    choice_count,
    decision['letter'] IS NOT DISTINCT FROM truth AS is_right,
    letter_index(decision['letter']) IS NOT NULL
        AND letter_index(decision['letter']) <= choice_count AS is_valid
FROM decided;
