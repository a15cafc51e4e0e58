-- Scores: P(Y | X + D), the weak model's distribution over the scenario's letters after
-- each decision. It is known where the weak model wrote the decision itself. Its entropy is
-- in bits; `behavior` is one keyed draw from it, accepted when it equals the truth. Decisions
-- that broke off are kept, with an error, unscored.
--
-- output: scores
-- inputs: decisions, scenarios
-- key: scenario_id, source
-- models: weak
WITH readable AS (
    SELECT
        d.scenario_id,
        d.source,
        d.draw,
        d.text,
        s.messages,
        s.choice_count,
        s.truth,
        CASE WHEN d.model_fingerprint = model_fingerprint('weak') THEN d.probs END AS own_probs
    FROM decisions AS d
    JOIN scenarios AS s ON s.scenario_id = d.scenario_id
    WHERE d.finish = 'behavior'
),
answered AS (
    SELECT
        *,
        -- Nothing is asked where there is no text.
        choose('weak', messages, CASE WHEN own_probs IS NULL THEN text END, choice_count) AS answer
    FROM readable
),
weighed AS (
    SELECT
        *,
        coalesce(own_probs, answer['probs']) AS probs,
        CASE WHEN own_probs IS NULL THEN answer['by'] ELSE 'logits' END AS probs_by
    FROM answered
),
drawn AS (
    SELECT
        scenario_id,
        source,
        draw,
        truth,
        probs,
        probs_by,
        answer['error'] AS error,
        letter(draw_index(probs, @seed, 'behavior', scenario_id, source, draw)) AS behavior
    FROM weighed
)
SELECT
    scenario_id,
    source,
    draw,
    probs,
    probs_by,
    entropy(probs) AS entropy,
    behavior,
    behavior = truth AS accepted,
    'weak' AS model,
    error
FROM drawn
UNION ALL
SELECT
    scenario_id, source, draw, NULL, NULL, NULL, NULL, NULL, 'weak',
    coalesce(error, 'decision ended by ' || finish || ', before a behavior')
FROM decisions
WHERE finish IS NULL OR finish <> 'behavior'
ORDER BY scenario_id, source, draw;
