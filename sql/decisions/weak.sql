-- Decision processes of the weak model: @draws of them for every scenario. A scenario that
-- it cannot take (a prompt longer than its context) leaves one row with the reason in `error`.
--
-- output: decisions
-- rows: source = weak
-- inputs: scenarios
-- key: scenario_id
-- models: weak
WITH written AS (
    SELECT scenario_id, unnest(decisions) AS decision
    FROM (SELECT scenario_id, decide('weak', messages, @draws) AS decisions FROM scenarios)
)
SELECT
    scenario_id,
    'weak' AS source,
    decision['draw'] AS draw,
    decision['text'] AS text,
    decision['letter'] AS letter,
    decision['tokens'] AS tokens,
    decision['finish'] AS finish,
    'weak' AS model,
    decision['error'] AS error
FROM written
ORDER BY scenario_id, draw;
