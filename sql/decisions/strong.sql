-- Decision processes of the strong model: @draws of them for every scenario. A scenario that
-- it cannot take (a prompt longer than its context) leaves one row with the reason in `error`.
-- `probs` is the distribution over the scenario's letters that the letter was drawn from, or would
-- have been after a text that broke off.
--
-- output: decisions
-- rows: source = strong
-- inputs: scenarios
-- key: scenario_id
-- models: strong
WITH written AS (
    SELECT scenario_id, choice_count, unnest(decisions) AS decision
    FROM (SELECT scenario_id, choice_count, decide('strong', messages, @draws) AS decisions FROM scenarios)
)
SELECT
    scenario_id,
    'strong' AS source,
    decision['draw'] AS draw,
    decision['text'] AS text,
    decision['letter'] AS letter,
    first_probs(decision['letter_probs'], choice_count) AS probs,
    decision['tokens'] AS tokens,
    decision['finish'] AS finish,
    'strong' AS model,
    model_fingerprint('strong') AS model_fingerprint,
    decision['error'] AS error
FROM written
ORDER BY scenario_id, draw;
