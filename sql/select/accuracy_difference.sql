-- Where the strong model's decisions lead to the truth more often than the weak one's: the
-- largest difference of the two shares first. Ties are shuffled by key.
CREATE OR REPLACE VIEW ranked AS
SELECT
    scenario_id,
    dataset,
    choice_count,
    row_number() OVER (
        PARTITION BY dataset, choice_count
        ORDER BY
            accuracy_strong - accuracy_weak DESC,
            stable_hash(@seed, 'accuracy_difference', scenario_id)
    ) AS rank
FROM selectable;
