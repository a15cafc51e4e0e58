-- Decision processes: each model writes @draws of them for every scenario. A scenario
-- that a model cannot take (a prompt longer than its context) leaves one row with the
-- reason in `error`.
WITH asked AS (
    SELECT scenario_id, 'strong' AS source, decide('strong', messages, @draws) AS decisions
    FROM scenarios
    UNION ALL
    SELECT scenario_id, 'weak' AS source, decide('weak', messages, @draws) AS decisions
    FROM scenarios
),
written AS (
    SELECT scenario_id, source, unnest(decisions) AS decision FROM asked
)
SELECT
    scenario_id,
    source,
    decision['draw'] AS draw,
    decision['text'] AS text,
    decision['letter'] AS letter,
    decision['tokens'] AS tokens,
    decision['finish'] AS finish,
    source AS model,
    decision['error'] AS error
FROM written
ORDER BY scenario_id, source, draw;
