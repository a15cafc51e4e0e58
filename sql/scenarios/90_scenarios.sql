-- The scenarios: what was rendered, and the messages that put it before a model. The
-- fingerprint is of what models are shown and judged by: what they said of a scenario
-- stays good as long as it is the same.
--
-- output: scenarios
-- checks: sql/checks/scenarios
WITH asked AS (
    SELECT
        r.*,
        n.instruction,
        concat(
            CASE WHEN r.profile <> '' THEN concat('## Profile', chr(10), r.profile, chr(10), chr(10)) END,
            '## History', chr(10), r.history, chr(10), chr(10),
            '## Exposure', chr(10), r.options
        ) AS question
    FROM rendered AS r
    JOIN instructions AS n ON n.style = @style
)
SELECT
    * EXCEPT (instruction, question),
    make_array(
        named_struct('role', 'system', 'content', instruction),
        named_struct('role', 'user', 'content', question)
    ) AS messages,
    md5(concat_ws(chr(31), truth, choice_count, instruction, question)) AS fingerprint
FROM asked
ORDER BY scenario_id;
