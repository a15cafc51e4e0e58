-- Row N of a probability file belongs to row N of its scene file: they have the same
-- number of rows, and the same user_id and item_id in each.
WITH scored AS (
    SELECT DISTINCT kind AS source, name, file FROM probability_lines
),
expected AS (
    SELECT s.name, s.line, f.source, f.file, s.user_id, s.item_id
    FROM scenes AS s
    JOIN scored AS f ON f.name = s.name
    WHERE s.kind = 'train'
)
SELECT
    coalesce(p.file, e.file) AS file,
    coalesce(p.line, e.line) AS line,
    left(one_line(json_as_text(p.json, 'user_id')), 30) AS user_id,
    e.user_id AS user_id_of_scene,
    left(one_line(json_as_text(p.json, 'item_id')), 30) AS item_id,
    e.item_id AS item_id_of_scene
FROM probability_lines AS p
FULL JOIN expected AS e ON e.source = p.kind AND e.name = p.name AND e.line = p.line
WHERE e.line IS NULL OR p.line IS NULL
    OR (json_as_text(p.json, 'user_id') IS DISTINCT FROM e.user_id)
    OR (json_as_text(p.json, 'item_id') IS DISTINCT FROM e.item_id)
ORDER BY file, line;
