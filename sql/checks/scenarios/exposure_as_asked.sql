-- Exposures have the asked length and no item twice.
SELECT scenario_id, split, choice_count, exposure
FROM scenarios
WHERE cardinality(exposure) <> choice_count
    OR cardinality(array_distinct(exposure)) <> choice_count
    OR (split = 'train' AND choice_count NOT BETWEEN @choices_min AND @choices_max)
    OR (split = 'eval' AND choice_count <> @eval_choices);
