-- How good a simulator of the demo world could be: on the held-out scenarios, the share
-- (in %) that is right if one always takes the option that the world's own rule of choice
-- values most, knowing taste, mood and quality; beside it, always taking the item that
-- most other choices were for. Needs the tables `policy_users`, `policy_items` and `policy_events`
-- that `usermirror generate` writes.
WITH shown AS (
    SELECT
        s.scenario_id,
        s.user_id,
        s.item_id AS chosen,
        s.choice_count,
        CAST(e.mood AS BIGINT) AS wanted_decade,
        unnest(s.exposure) AS item_id
    FROM scenarios AS s
    JOIN policy_events AS e
        ON CAST(e.user AS TEXT) = s.user_id AND CAST(e.item AS TEXT) = s.item_id
    WHERE s.split = 'eval'
),
tastes AS (
    SELECT
        CAST(user AS TEXT) AS user_id,
        unnest(taste) AS liking,
        unnest(generate_series(1, cardinality(taste))) AS genre
    FROM policy_users
),
weights AS (
    SELECT
        CAST(item AS TEXT) AS item_id,
        CAST(year AS BIGINT) / 10 * 10 AS decade,
        quality,
        unnest(genre_weights) AS weight,
        unnest(generate_series(1, cardinality(genre_weights))) AS genre
    FROM policy_items
),
popularity AS (
    SELECT CAST(item AS TEXT) AS item_id, count(*) AS events FROM policy_events GROUP BY item
),
valued AS (
    SELECT
        s.scenario_id,
        s.chosen,
        s.choice_count,
        s.item_id,
        4.0 * sum(t.liking * w.weight)
            + 9.0 * max(CASE WHEN w.decade = s.wanted_decade THEN 1.0 ELSE 0.0 END)
            + 0.2 * max(w.quality) AS utility,
        -- The choice to be guessed does not count for its item.
        coalesce(max(p.events), 0) - CASE WHEN s.item_id = s.chosen THEN 1 ELSE 0 END AS events
    FROM shown AS s
    JOIN weights AS w ON w.item_id = s.item_id
    JOIN tastes AS t ON t.user_id = s.user_id AND t.genre = w.genre
    LEFT JOIN popularity AS p ON p.item_id = s.item_id
    GROUP BY s.scenario_id, s.chosen, s.choice_count, s.item_id
),
best AS (
    SELECT
        scenario_id,
        choice_count,
        first_value(item_id ORDER BY utility DESC, item_id) = max(chosen) AS policy_right,
        first_value(item_id ORDER BY events DESC, item_id) = max(chosen) AS popularity_right
    FROM valued
    GROUP BY scenario_id, choice_count
)
SELECT
    count(*) AS scenarios,
    round(avg(CASE WHEN policy_right THEN 100.0 ELSE 0.0 END), 1) AS best_possible,
    round(avg(CASE WHEN popularity_right THEN 100.0 ELSE 0.0 END), 1) AS most_popular,
    round(avg(100.0 / choice_count), 1) AS random
FROM best;
