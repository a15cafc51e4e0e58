-- What the user remembers: the last h events strictly before the scenario, oldest
-- first, h uniform in @history_min..@history_max.
CREATE OR REPLACE TABLE history AS
SELECT
    s.scenario_id,
    s.event - s.first + 1 AS position,
    e.user_id,
    e.item_id,
    e.ts,
    e.row,
    s.ts AS scenario_ts
FROM (
    SELECT scenario_id, user_id, ts, first, unnest(generate_series(first, earlier)) AS event
    FROM (
        SELECT
            scenario_id,
            user_id,
            ts,
            earlier,
            greatest(1, earlier + 1 - draw_int(@history_min, @history_max, @seed, scenario_id, 'history')) AS first
        FROM sampled
    )
) AS s
JOIN events AS e ON e.user_id = s.user_id AND e.position = s.event;

-- What the user had already interacted with by then, and what is therefore not offered:
-- that, the chosen item, and what else was chosen at the same time, which would be as true.
-- As of the scenario's time, or over the whole log in `paper` mode.
CREATE OR REPLACE TABLE seen AS
SELECT
    s.scenario_id,
    array_sort(array_agg(e.item_index) FILTER (
        WHERE e.position <= s.earlier OR (@mode = 'paper' AND e.row <> s.row)
    )) AS seen,
    array_sort(array_agg(e.item_index)) AS excluded
FROM sampled AS s
JOIN events AS e ON e.user_id = s.user_id
WHERE e.ts <= s.ts OR @mode = 'paper'
GROUP BY s.scenario_id;
