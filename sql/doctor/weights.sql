-- What smaller weights cost: how far the letters' probabilities after a decision are from those of
-- the same model in full precision, on scenarios of this lake. `distance` is the total variation
-- distance, 0 to 1; `same_top_letter` counts the scenarios whose likeliest letter is the same, and
-- `failed` those that a model could not take.
--
-- inputs: scenarios, decisions
WITH decided AS (
    SELECT
        s.scenario_id,
        s.messages,
        s.choice_count,
        d.text,
        row_number() OVER (
            PARTITION BY s.scenario_id ORDER BY stable_hash(@seed, 'doctor', s.scenario_id, d.source, d.draw)
        ) AS place
    FROM scenarios AS s
    JOIN decisions AS d ON d.scenario_id = s.scenario_id
    WHERE d.finish = 'behavior'
),
sampled AS (
    SELECT * FROM decided WHERE place = 1 ORDER BY stable_hash(@seed, 'doctor', scenario_id) LIMIT 100
),
asked AS (
    SELECT
        scenario_id,
        choose(@model, messages, text, choice_count) AS small,
        choose(@against, messages, text, choice_count) AS exact
    FROM sampled
),
letters AS (
    SELECT
        scenario_id,
        -- One that failed stays, with no probability.
        unnest(coalesce(small['probs'], [NULL])) AS small,
        unnest(coalesce(exact['probs'], [NULL])) AS exact
    FROM asked
),
compared AS (
    SELECT
        scenario_id,
        sum(abs(small - exact)) / 2 AS distance,
        first_value(exact ORDER BY small DESC) = max(exact) AS same_top_letter
    FROM letters
    GROUP BY scenario_id
)
SELECT
    count(*) AS scenarios,
    round(avg(distance), 6) AS mean_distance,
    round(max(distance), 6) AS longest_distance,
    count(*) FILTER (WHERE same_top_letter AND distance IS NOT NULL) AS same_top_letter,
    count(*) FILTER (WHERE distance IS NULL) AS failed
FROM compared;
