-- Five decisions of each model for every held-out scenario, decision first, at temperature 1 and
-- top-p 0.9. Needs the models under the names `base`, `sft` and `dpo`. All three draw with the same
-- random numbers, which makes their differences steadier than their accuracies.
CREATE OR REPLACE VIEW held_out AS
SELECT * FROM scenarios WHERE split = 'eval';

CREATE OR REPLACE TABLE decided AS
SELECT 'base' AS model, scenario_id, unnest(decide('base', messages, 5)) AS decision FROM held_out
UNION ALL
SELECT 'sft' AS model, scenario_id, unnest(decide('sft', messages, 5)) AS decision FROM held_out
UNION ALL
SELECT 'dpo' AS model, scenario_id, unnest(decide('dpo', messages, 5)) AS decision FROM held_out;

CREATE OR REPLACE TABLE answers AS
SELECT
    d.model,
    s.scenario_id,
    s.user_id,
    s.choice_count,
    d.decision['letter'] IS NOT DISTINCT FROM s.truth AS is_right,
    letter_index(d.decision['letter']) IS NOT NULL
        AND letter_index(d.decision['letter']) <= s.choice_count AS is_valid
FROM decided AS d
JOIN scenarios AS s ON s.scenario_id = d.scenario_id;
