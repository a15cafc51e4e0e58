-- What the strong model finds hardest, and yet gets right at least once (else there is no
-- pair): the smallest share of its behaviors that equal the truth first. Ties are shuffled
-- by key.
CREATE OR REPLACE VIEW ranked AS
SELECT
    scenario_id,
    dataset,
    choice_count,
    row_number() OVER (
        PARTITION BY dataset, choice_count
        ORDER BY accuracy_strong, stable_hash(@seed, 'low_accuracy', scenario_id)
    ) AS rank
FROM selectable;
