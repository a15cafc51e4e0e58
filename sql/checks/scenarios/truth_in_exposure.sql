-- The truth's letter points at the item that the user really chose.
SELECT scenario_id, truth, item_id, exposure
FROM scenarios
WHERE exposure[letter_index(truth)] IS DISTINCT FROM item_id;
