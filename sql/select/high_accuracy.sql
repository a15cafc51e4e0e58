-- What the strong model understands best: the largest share of its behaviors that equal
-- the truth first. Few draws make few shares, so most are ties: those are shuffled by key.
CREATE OR REPLACE VIEW ranked AS
SELECT
    scenario_id,
    dataset,
    choice_count,
    row_number() OVER (
        PARTITION BY dataset, choice_count
        ORDER BY accuracy_strong DESC, stable_hash(@seed, 'high_accuracy', scenario_id)
    ) AS rank
FROM selectable;
