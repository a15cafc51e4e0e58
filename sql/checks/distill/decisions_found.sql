-- A draw that a pair names is among the decisions: its text stands before the behavior.
SELECT scenario_id, chosen_draw, rejected_source, rejected_draw, chosen, rejected
FROM preferences
WHERE (chosen_draw IS NOT NULL AND starts_with(chosen, 'Behavior: ['))
    OR (rejected_draw IS NOT NULL AND starts_with(rejected, 'Behavior: ['));
