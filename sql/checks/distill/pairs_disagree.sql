-- The chosen answer names the truth, the rejected one does not.
SELECT scenario_id, truth, rejected_behavior, chosen, rejected
FROM preferences
WHERE rejected_behavior = truth
    OR NOT ends_with(chosen, concat('Behavior: [', truth, ']'))
    OR NOT ends_with(rejected, concat('Behavior: [', rejected_behavior, ']'));
