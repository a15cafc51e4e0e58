-- Decision processes of the weak model: @draws of them for every scenario. A scenario that
-- it cannot take (a prompt longer than its context) leaves one row with the reason in `error`.
-- `probs` is the distribution over the scenario's letters that the letter was drawn from, or would
-- have been after a text that broke off.
--
-- output: decisions
-- rows: source = weak
-- inputs: scenarios
-- key: scenario_id
-- models: weak
WITH written AS (
    SELECT scenario_id, choice_count, unnest(decisions) AS decision
    FROM (SELECT scenario_id, choice_count, decide('weak', messages, @draws) AS decisions FROM scenarios)
)
SELECT
    scenario_id,
    'weak' AS source,
    decision['draw'] AS draw,
    decision['text'] AS text,
    decision['letter'] AS letter,
    first_probs(decision['letter_probs'], choice_count) AS probs,
    decision['tokens'] AS tokens,
    decision['finish'] AS finish,
    'weak' AS model,
    model_fingerprint('weak') AS model_fingerprint,
    decision['error'] AS error
FROM written
ORDER BY scenario_id, draw;
