-- Candidates: what else could have been shown, where the log does not tell. Every ranker
-- masks first (released items only, nothing already seen, not the chosen item) and takes
-- its best after.
CREATE OR REPLACE TABLE candidates AS
SELECT
    c.scenario_id,
    rank_random(@seed, c.scenario_id, c.horizon, c.excluded, c.list_length) AS random,
    rank_collaborative(
        (SELECT by_window FROM factors), c.window_id, c.seen, c.horizon, c.excluded, c.list_length
    ) AS collaborative,
    rank_content(
        (SELECT by_window FROM content), c.window_id, c.item_index, c.horizon, c.excluded, c.list_length
    ) AS content,
    f.social
FROM (
    SELECT
        s.scenario_id,
        s.item_index,
        s.window_id,
        s.horizon,
        e.seen,
        e.excluded,
        greatest(32, 3 * @choices_max) AS list_length
    FROM sampled AS s
    JOIN seen AS e ON e.scenario_id = s.scenario_id
    WHERE s.impressions IS NULL
) AS c
LEFT JOIN social AS f ON f.scenario_id = c.scenario_id;

-- Exposures built from them: the lists interleaved at random, cut, and the chosen item
-- put at a uniformly random position, the last one included.
CREATE OR REPLACE TABLE built_exposures AS
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
            interleave(@seed, s.scenario_id, c.random, c.collaborative, c.content, c.social) AS merged,
            CASE s.split
                WHEN 'eval' THEN @eval_choices
                ELSE draw_int(@choices_min, @choices_max, @seed, s.scenario_id, 'choices')
            END AS choice_count
        FROM sampled AS s
        JOIN candidates AS c ON c.scenario_id = s.scenario_id
    )
    WHERE cardinality(merged) >= choice_count - 1
);

-- The options, one a row: of a built exposure, or as the log says they were shown.
CREATE OR REPLACE TABLE options AS
SELECT o.scenario_id, o.position, c.item_id, s.ts AS scenario_ts
FROM (
    SELECT
        scenario_id,
        unnest(exposure) AS item_index,
        unnest(generate_series(1, choice_count)) AS position
    FROM built_exposures
) AS o
JOIN sampled AS s ON s.scenario_id = o.scenario_id
JOIN catalog AS c ON c.item_index = o.item_index
UNION ALL
SELECT
    scenario_id,
    unnest(generate_series(1, cardinality(impressions))) AS position,
    unnest(impressions) AS item_id,
    ts AS scenario_ts
FROM sampled
WHERE impressions IS NOT NULL;

CREATE OR REPLACE TABLE exposures AS
SELECT scenario_id, choice_count, truth_position, false AS logged
FROM built_exposures
UNION ALL
SELECT
    scenario_id,
    CAST(cardinality(impressions) AS BIGINT) AS choice_count,
    CAST(array_position(impressions, item_id) AS BIGINT) AS truth_position,
    true AS logged
FROM sampled
WHERE impressions IS NOT NULL;
