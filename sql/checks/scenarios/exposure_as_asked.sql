-- Exposures have the asked length, or the logged one, and no item twice.
SELECT s.scenario_id, s.split, s.choice_count, s.exposure
FROM scenarios AS s
JOIN exposures AS e ON e.scenario_id = s.scenario_id
WHERE cardinality(s.exposure) <> s.choice_count
    OR cardinality(array_distinct(s.exposure)) <> s.choice_count
    OR s.choice_count NOT BETWEEN 2 AND 26
    OR (NOT e.logged AND s.split = 'train' AND s.choice_count NOT BETWEEN @choices_min AND @choices_max)
    OR (NOT e.logged AND s.split = 'eval' AND s.choice_count <> @eval_choices);
