-- Position bias: of a model's valid answers, the share (in %) at each place as it was shown, from the
-- first place on, and how far that is from where the truths were (half the sum of differences, in
-- points). Rotated, the truths are equally often at each place.
WITH rows_shown AS (
    SELECT
        e.model,
        e.method,
        e.place,
        (letter_index(s.truth) - 1 - e.rotation + s.choice_count) % s.choice_count + 1 AS truth_place
    FROM evaluations AS e
    JOIN scenarios AS s ON s.scenario_id = e.scenario_id
    WHERE e.place IS NOT NULL
),
answers AS (
    SELECT model, method, place, count(*) AS times FROM rows_shown GROUP BY model, method, place
),
truths AS (
    SELECT model, method, truth_place AS place, count(*) AS times
    FROM rows_shown
    GROUP BY model, method, truth_place
),
shares AS (
    SELECT
        coalesce(a.model, t.model) AS model,
        coalesce(a.method, t.method) AS method,
        coalesce(a.place, t.place) AS place,
        coalesce(a.times, 0) AS answers,
        coalesce(t.times, 0) AS truths
    FROM answers AS a
    FULL JOIN truths AS t ON t.model = a.model AND t.method = a.method AND t.place = a.place
),
percent AS (
    SELECT
        model,
        method,
        place,
        100.0 * answers / sum(answers) OVER (PARTITION BY model, method) AS answers,
        100.0 * truths / sum(truths) OVER (PARTITION BY model, method) AS truths
    FROM shares
)
SELECT
    model,
    method,
    string_agg(CAST(round(answers, 1) AS TEXT), ' ' ORDER BY place) AS answers,
    string_agg(CAST(round(truths, 1) AS TEXT), ' ' ORDER BY place) AS truths,
    round(sum(abs(answers - truths)) / 2, 1) AS bias
FROM percent
GROUP BY model, method
ORDER BY model, method;
