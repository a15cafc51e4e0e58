-- Random without decisions: a keyed shuffle of all training scenarios, also of those that no
-- decision explains. The chosen answer is the true letter alone, the rejected one a keyed draw
-- among the scenario's other letters.
CREATE OR REPLACE VIEW pairs AS
SELECT
    scenario_id,
    CAST(NULL AS INT) AS chosen_draw,
    CAST(NULL AS DOUBLE) AS chosen_entropy,
    CAST(NULL AS TEXT) AS rejected_source,
    CAST(NULL AS INT) AS rejected_draw,
    letter(
        1 + (letter_index(truth) - 1 + draw_int(1, choice_count - 1, @seed, 'rejected letter', scenario_id))
        % choice_count
    ) AS rejected_behavior,
    CAST(NULL AS DOUBLE) AS rejected_entropy
FROM scenarios
WHERE choice_count > 1;

CREATE OR REPLACE VIEW selectable AS
SELECT scenario_id, dataset, choice_count
FROM scenarios
WHERE split = 'train' AND choice_count > 1;

CREATE OR REPLACE VIEW ranked AS
SELECT
    scenario_id,
    dataset,
    choice_count,
    row_number() OVER (
        PARTITION BY dataset, choice_count
        ORDER BY stable_hash(@seed, 'random_letters', scenario_id)
    ) AS rank
FROM selectable;
