-- Without a decision: the distribution of model @model over the letters right after the prompt,
-- and @samples draws from it.
CREATE OR REPLACE VIEW answered AS
WITH weighed AS (
    SELECT scenario_id, rotation, truth, choice_count, choose(@model, messages, '', choice_count) AS answer
    FROM shown
)
SELECT
    scenario_id,
    rotation,
    draw,
    truth,
    choice_count,
    draw_index(answer['probs'], @seed, 'evaluate', @method, scenario_id, rotation, draw) AS place,
    answer['probs'] AS probs,
    answer['by'] AS probs_by,
    NULL AS tokens,
    answer['error'] AS error
FROM (SELECT *, unnest(generate_series(0, @samples - 1)) AS draw FROM weighed);
