-- Uncertainty of every scenario that at least one decision explains (the others are
-- noise). In bits, over the decisions of one source:
--   epistemic  eu = mean of the entropies
--   total      tu = entropy of the mean distribution
--   aleatoric  au = tu - eu, never negative (Jensen)
-- and delta_eu = eu_weak - eu_strong: how much more certain the weak model becomes
-- when the strong one has clarified the situation. Entropies are summed as decimals:
-- the order in which rows arrive must not change a bit.
--
-- output: uncertainty
-- inputs: scores
WITH by_source AS (
    SELECT
        scenario_id,
        source,
        CAST(sum(CAST(entropy AS DECIMAL(30, 18))) AS DOUBLE) / count(entropy) AS eu,
        entropy(mean_probs(probs)) AS tu,
        avg(CASE WHEN accepted THEN 1.0 ELSE 0.0 END) AS accuracy,
        bool_or(accepted) AS explained
    FROM scores
    WHERE error IS NULL
    GROUP BY scenario_id, source
)
SELECT
    s.scenario_id,
    s.eu AS eu_strong,
    w.eu AS eu_weak,
    s.tu AS tu_strong,
    w.tu AS tu_weak,
    greatest(s.tu - s.eu, 0) AS au_strong,
    greatest(w.tu - w.eu, 0) AS au_weak,
    s.accuracy AS accuracy_strong,
    w.accuracy AS accuracy_weak,
    w.eu - s.eu AS delta_eu
FROM by_source AS s
JOIN by_source AS w ON w.scenario_id = s.scenario_id AND w.source = 'weak'
WHERE s.source = 'strong' AND (s.explained OR w.explained)
ORDER BY s.scenario_id;
