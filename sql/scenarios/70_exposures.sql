-- Candidates: what else could have been shown. Every ranker masks first (released
-- items only, nothing already seen, not the chosen item) and takes its best after.
CREATE OR REPLACE TABLE candidates AS
SELECT
    scenario_id,
    rank_random(@seed, scenario_id, horizon, excluded, list_length) AS random,
    rank_collaborative(
        (SELECT by_window FROM factors), window_id, seen, horizon, excluded, list_length
    ) AS collaborative,
    rank_content(
        (SELECT by_window FROM content), window_id, item_index, horizon, excluded, list_length
    ) AS content
FROM (
    SELECT
        s.scenario_id,
        s.item_index,
        s.window_id,
        s.horizon,
        e.seen,
        array_append(e.seen, s.item_index) AS excluded,
        greatest(32, 3 * @choices_max) AS list_length
    FROM sampled AS s
    JOIN seen AS e ON e.scenario_id = s.scenario_id
);

-- Exposures: the lists interleaved at random, cut, and the chosen item put at a
-- uniformly random position, the last one included.
CREATE OR REPLACE TABLE exposures AS
SELECT
    scenario_id,
    choice_count,
    position AS truth_position,
    insert_at(others, position, item_index) AS exposure
FROM (
    SELECT
        scenario_id,
        item_index,
        choice_count,
        array_slice(merged, 1, choice_count - 1) AS others,
        draw_int(1, choice_count, @seed, scenario_id, 'position') AS position
    FROM (
        SELECT
            s.scenario_id,
            s.item_index,
            interleave(@seed, s.scenario_id, c.random, c.collaborative, c.content) AS merged,
            CASE s.split
                WHEN 'eval' THEN @eval_choices
                ELSE draw_int(@choices_min, @choices_max, @seed, s.scenario_id, 'choices')
            END AS choice_count
        FROM sampled AS s
        JOIN candidates AS c ON c.scenario_id = s.scenario_id
    )
    WHERE cardinality(merged) >= choice_count - 1
);

CREATE OR REPLACE TABLE options AS
SELECT o.scenario_id, o.position, c.item_id, s.ts AS scenario_ts
FROM (
    SELECT
        scenario_id,
        unnest(exposure) AS item_index,
        unnest(generate_series(1, choice_count)) AS position
    FROM exposures
) AS o
JOIN sampled AS s ON s.scenario_id = o.scenario_id
JOIN catalog AS c ON c.item_index = o.item_index;
