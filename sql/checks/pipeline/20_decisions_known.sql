-- Every row of a decision file answers a scene: its custom_id is DATASET-N, and N (from 0)
-- is a row of datasets/DATASET_train.jsonl.
SELECT b.file, b.line, left(one_line(b.custom_id), 60) AS custom_id
FROM batches AS b
LEFT JOIN scenes AS s ON s.name = b.name AND s.line = b.scene_line AND s.kind = 'train'
WHERE s.line IS NULL OR b.custom_id IS DISTINCT FROM concat(s.dataset, '-', b.scene_line - 1)
ORDER BY b.file, b.line;
