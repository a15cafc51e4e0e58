-- Our strategy: the largest epistemic gap first.
CREATE OR REPLACE VIEW ranked AS
SELECT
    scenario_id,
    dataset,
    choice_count,
    row_number() OVER (
        PARTITION BY dataset, choice_count
        ORDER BY delta_eu DESC, scenario_id
    ) AS rank
FROM selectable;
