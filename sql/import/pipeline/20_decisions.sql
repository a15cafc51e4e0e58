-- Published decisions. A scene without an answer keeps one row with the reason.
SELECT
    s.scenario_id,
    f.source,
    coalesce(a.draw, 0) AS draw,
    a.text,
    a.letter,
    CAST(NULL AS DOUBLE[]) AS probs,
    CAST(NULL AS INT) AS tokens,
    a.finish,
    b.model,
    CAST(NULL AS TEXT) AS model_fingerprint,
    CASE
        WHEN a.text IS NOT NULL THEN NULL
        WHEN b.file IS NULL THEN 'the decision file has no row for this scene'
        WHEN b.failure IS NOT NULL THEN concat('the request failed: ', left(one_line(b.failure), 200))
        ELSE 'the request gave no text'
    END AS error,
    md5(concat_ws(chr(31), a.text, a.finish)) AS fingerprint
FROM scenes AS s
JOIN (SELECT DISTINCT source, name FROM batches) AS f ON f.name = s.name
LEFT JOIN batches AS b ON b.source = f.source AND b.name = s.name AND b.scene_line = s.line
LEFT JOIN answers AS a ON a.source = f.source AND a.name = s.name AND a.scene_line = s.line
WHERE s.kind = 'train'
ORDER BY scenario_id, source, draw;
