-- Decision processes: each model writes @draws of them for every scenario. A scenario
-- that a model cannot take (a prompt longer than its context) leaves one row with the
-- reason in `error`.
WITH written AS (
    SELECT scenario_id, 'strong' AS source, unnest(decide('strong', messages, @draws)) AS decision
    FROM scenarios
    UNION ALL
    SELECT scenario_id, 'weak' AS source, unnest(decide('weak', messages, @draws)) AS decision
    FROM scenarios
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
