-- Scores: P(Y | X + D), the weak model's distribution over the scenario's letters after
-- each decision. Its entropy is in bits; `behavior` is one keyed draw from it, accepted
-- when it equals the truth. Decisions that broke off are kept, with an error, unscored.
--
-- output: scores
-- inputs: decisions, scenarios
-- key: scenario_id, source
-- models: weak
WITH readable AS (
    SELECT d.scenario_id, d.source, d.draw, d.text, s.messages, s.choice_count, s.truth
    FROM decisions AS d
    JOIN scenarios AS s ON s.scenario_id = d.scenario_id
    WHERE d.finish = 'behavior'
),
answered AS (
    SELECT scenario_id, source, draw, truth, choose('weak', messages, text, choice_count) AS answer
    FROM readable
),
drawn AS (
    SELECT
        scenario_id,
        source,
        draw,
        truth,
        answer['probs'] AS probs,
        answer['error'] AS error,
        letter(draw_index(answer['probs'], @seed, 'behavior', scenario_id, source, draw)) AS behavior
    FROM answered
)
SELECT
    scenario_id,
    source,
    draw,
    probs,
    entropy(probs) AS entropy,
    behavior,
    behavior = truth AS accepted,
    'weak' AS model,
    error
FROM drawn
UNION ALL
SELECT
    scenario_id, source, draw, NULL, NULL, NULL, NULL, 'weak',
    coalesce(error, 'decision ended by ' || finish || ', before a behavior')
FROM decisions
WHERE finish IS NULL OR finish <> 'behavior'
ORDER BY scenario_id, source, draw;
