-- The best that a simulator of a generated world could do: take the option that the world's own
-- rule of choice values most, knowing taste, mood and quality. Needs the `policy` folder that
-- `usermirror generate` writes, copied into the lake.
--
-- inputs: scenarios, policy.users, policy.items, policy.events
WITH shown AS (
    SELECT
        s.scenario_id,
        s.user_id,
        CAST(e.mood AS BIGINT) AS wanted_decade,
        unnest(s.exposure) AS item_id,
        unnest(generate_series(1, s.choice_count)) AS place
    FROM scenarios AS s
    JOIN policy.events AS e
        ON CAST(e.user AS TEXT) = s.user_id AND CAST(e.item AS TEXT) = s.item_id
    WHERE s.split = 'eval'
),
tastes AS (
    SELECT
        CAST(user AS TEXT) AS user_id,
        unnest(taste) AS liking,
        unnest(generate_series(1, cardinality(taste))) AS genre
    FROM policy.users
),
weights AS (
    SELECT
        CAST(item AS TEXT) AS item_id,
        CAST(year AS BIGINT) / 10 * 10 AS decade,
        quality,
        unnest(genre_weights) AS weight,
        unnest(generate_series(1, cardinality(genre_weights))) AS genre
    FROM policy.items
),
valued AS (
    SELECT
        s.scenario_id,
        s.place,
        4.0 * sum(t.liking * w.weight)
            + 9.0 * max(CASE WHEN w.decade = s.wanted_decade THEN 1.0 ELSE 0.0 END)
            + 0.2 * max(w.quality) AS utility
    FROM shown AS s
    JOIN weights AS w ON w.item_id = s.item_id
    JOIN tastes AS t ON t.user_id = s.user_id AND t.genre = w.genre
    GROUP BY s.scenario_id, s.place
)
SELECT 'ceiling' AS baseline, scenario_id, place, utility AS score, NULL AS prob
FROM valued;
