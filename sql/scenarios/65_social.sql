-- What friends did: how many of the user's friends had interacted with an item before the
-- scenario (over the whole log in `paper` mode). Empty where a dataset knows no friends.
CREATE OR REPLACE TABLE friend_counts AS
SELECT s.scenario_id, e.item_id, e.item_index, count(DISTINCT e.user_id) AS friends
FROM sampled AS s
JOIN (SELECT user_id, unnest(friends) AS friend FROM users WHERE cardinality(friends) > 0) AS f
    ON f.user_id = s.user_id
JOIN events AS e ON e.user_id = f.friend AND (e.ts < s.ts OR @mode = 'paper')
GROUP BY s.scenario_id, e.item_id, e.item_index;

-- The social ranker: the items that most friends know, ties at random; masked like the
-- others (released items only, nothing already seen, not the chosen item).
CREATE OR REPLACE TABLE social AS
SELECT scenario_id, array_agg(item_index ORDER BY place) AS social
FROM (
    SELECT
        f.scenario_id,
        f.item_index,
        row_number() OVER (
            PARTITION BY f.scenario_id
            ORDER BY f.friends DESC, stable_hash(@seed, 'social', f.scenario_id, f.item_index)
        ) AS place
    FROM friend_counts AS f
    JOIN sampled AS s ON s.scenario_id = f.scenario_id
    JOIN seen AS e ON e.scenario_id = f.scenario_id
    WHERE f.item_index < s.horizon
        AND NOT array_has(e.excluded, f.item_index)
)
WHERE place <= greatest(32, 3 * @choices_max)
GROUP BY scenario_id;
