-- How good a simulator of the demo world could be: on the held-out scenarios, the share
-- (in %) that the generator's own policy would get right if it always took the option of
-- highest utility; beside it, always taking the item that most users interacted with.
-- Needs the tables `policy_users` and `policy_items` that `usermirror generate` writes.
WITH shown AS (
    SELECT scenario_id, user_id, item_id AS chosen, choice_count, unnest(exposure) AS item_id
    FROM scenarios
    WHERE split = 'eval'
),
tastes AS (
    SELECT CAST(user AS TEXT) AS user_id, genre, taste
    FROM (
        SELECT user, unnest(taste) AS taste, unnest(generate_series(1, cardinality(taste))) AS genre
        FROM policy_users
    )
),
weights AS (
    SELECT CAST(item AS TEXT) AS item_id, quality, genre, weight
    FROM (
        SELECT
            item,
            quality,
            unnest(genre_weights) AS weight,
            unnest(generate_series(1, cardinality(genre_weights))) AS genre
        FROM policy_items
    )
),
popularity AS (
    SELECT item_id, count(*) AS events FROM movielens.interactions GROUP BY item_id
),
valued AS (
    SELECT
        s.scenario_id,
        s.chosen,
        s.choice_count,
        s.item_id,
        sum(t.taste * w.weight) + 0.3 * max(w.quality) AS utility,
        coalesce(max(p.events), 0) AS events
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
