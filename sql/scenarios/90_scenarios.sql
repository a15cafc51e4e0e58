-- The scenarios: what was rendered, and the messages that put it before a model.
SELECT
    r.*,
    make_array(
        named_struct('role', 'system', 'content', n.instruction),
        named_struct('role', 'user', 'content', concat(
            CASE WHEN r.profile <> '' THEN concat('## Profile', chr(10), r.profile, chr(10), chr(10)) END,
            '## History', chr(10), r.history, chr(10), chr(10),
            '## Exposure', chr(10), r.options
        ))
    ) AS messages
FROM rendered AS r
JOIN instructions AS n ON n.style = @style
ORDER BY r.scenario_id;
