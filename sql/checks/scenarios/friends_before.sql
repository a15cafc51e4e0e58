-- In time_safe mode, a friend counts only by what happened before the scenario.
SELECT f.scenario_id, f.item_id, f.friends, count(DISTINCT i.user_id) AS friends_before
FROM friend_counts AS f
JOIN options AS o ON o.scenario_id = f.scenario_id AND o.item_id = f.item_id
JOIN sampled AS s ON s.scenario_id = f.scenario_id
JOIN (SELECT user_id, unnest(friends) AS friend FROM users WHERE cardinality(friends) > 0) AS u
    ON u.user_id = s.user_id
JOIN interactions AS i
    ON i.user_id = u.friend AND i.item_id = f.item_id AND (i.ts < s.ts OR @mode = 'paper')
GROUP BY f.scenario_id, f.item_id, f.friends
HAVING f.friends > count(DISTINCT i.user_id);
