-- A probability file scores the decisions of its decision file, which must be there too,
-- in their order, and each has its probabilities.
SELECT
    coalesce(p.file, l.file) AS file,
    coalesce(p.line, l.line) AS line,
    coalesce(p.draw, a.draw) AS draw,
    left(one_line(p.text), 60) AS scored,
    left(one_line(a.text), 60) AS decided,
    p.choice IS NOT NULL AS has_probabilities
FROM predicted AS p
FULL JOIN (
    -- The published code skips a scene as a whole when one of its answers has no text.
    SELECT a.*
    FROM answers AS a
    JOIN (SELECT DISTINCT source, name, line FROM predicted) AS s
        ON s.source = a.source AND s.name = a.name AND s.line = a.scene_line
) AS a ON a.source = p.source AND a.name = p.name AND a.scene_line = p.line AND a.draw = p.draw
LEFT JOIN probability_lines AS l ON l.kind = a.source AND l.name = a.name AND l.line = a.scene_line
WHERE p.choice IS NULL OR (p.text IS DISTINCT FROM a.text)
ORDER BY file, line, draw;
