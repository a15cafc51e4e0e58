-- Instruction-following difficulty of the chosen answer: the largest first. The nearer to 1,
-- the less the prompt helps the weak model to write the answer, so the more there is to learn.
--
-- needs: sql/measures/ifd.sql
-- inputs: ifd
CREATE OR REPLACE VIEW ranked AS
SELECT
    s.scenario_id,
    s.dataset,
    s.choice_count,
    row_number() OVER (
        PARTITION BY s.dataset, s.choice_count
        ORDER BY i.ifd DESC NULLS LAST, s.scenario_id
    ) AS rank
FROM selectable AS s
LEFT JOIN ifd AS i ON i.scenario_id = s.scenario_id;
