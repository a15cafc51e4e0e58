-- Held-out accuracy of each model's decisions as written (in %), beside guessing at
-- random and always choosing the likeliest position; with the share of decisions that
-- end in a letter of the scenario, and how many of a scenario's decisions differ.
WITH written AS (
    SELECT
        d.source,
        s.scenario_id,
        avg(CASE WHEN d.letter = s.truth THEN 100.0 ELSE 0.0 END) AS accuracy,
        avg(CASE WHEN letter_index(d.letter) <= s.choice_count THEN 100.0 ELSE 0.0 END) AS valid_letters,
        100.0 * count(DISTINCT d.text) / count(*) AS different_texts
    FROM decisions AS d
    JOIN scenarios AS s ON s.scenario_id = d.scenario_id
    WHERE s.split = 'eval'
    GROUP BY d.source, s.scenario_id
)
SELECT
    source AS who,
    count(*) AS scenarios,
    round(avg(accuracy), 1) AS accuracy,
    round(1.96 * stddev(accuracy) / sqrt(count(*)), 1) AS plus_minus,
    round(avg(valid_letters), 1) AS valid_letters,
    round(avg(different_texts), 1) AS different_texts
FROM written
GROUP BY source
UNION ALL
SELECT 'random', count(*), round(avg(100.0 / choice_count), 1), NULL, NULL, NULL
FROM scenarios
WHERE split = 'eval'
UNION ALL
SELECT 'position only', sum(times), round(100.0 * max(times) / sum(times), 1), NULL, NULL, NULL
FROM (SELECT truth, count(*) AS times FROM scenarios WHERE split = 'eval' GROUP BY truth)
ORDER BY accuracy DESC;
