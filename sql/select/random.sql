-- Random with decisions: a keyed shuffle of each stratum.
CREATE OR REPLACE VIEW ranked AS
SELECT
    scenario_id,
    dataset,
    choice_count,
    row_number() OVER (
        PARTITION BY dataset, choice_count
        ORDER BY stable_hash(@seed, 'random', scenario_id)
    ) AS rank
FROM selectable;
