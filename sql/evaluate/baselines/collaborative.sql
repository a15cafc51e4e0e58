-- By the tastes of other users: the collaborative ranker's score of each option for what the user
-- had chosen before, by factors of the time window. Of no use where the log tells what was shown.
--
-- inputs: scenarios, interactions, items
-- needs: sql/scenarios/10_catalog.sql, sql/scenarios/20_windows.sql, sql/scenarios/50_factors.sql
WITH asked AS (
    SELECT scenario_id, user_id, ts, exposure
    FROM public.scenarios
    WHERE split = 'eval' AND dataset = @dataset
),
before AS (
    SELECT a.scenario_id, array_agg(e.item_index) AS seen
    FROM asked AS a
    JOIN events AS e ON e.user_id = a.user_id AND e.ts < a.ts
    GROUP BY a.scenario_id
),
learned AS (
    SELECT a.scenario_id, max(w.window_id) AS window_id
    FROM asked AS a
    JOIN windows AS w ON w.starts_at <= a.ts
    GROUP BY a.scenario_id
),
places AS (
    SELECT scenario_id, unnest(exposure) AS item_id, unnest(generate_series(1, cardinality(exposure))) AS place
    FROM asked
),
shown AS (
    SELECT p.scenario_id, array_agg(c.item_index ORDER BY p.place) AS items
    FROM places AS p
    JOIN catalog AS c ON c.item_id = p.item_id
    GROUP BY p.scenario_id
),
scored AS (
    SELECT
        s.scenario_id,
        score_collaborative((SELECT by_window FROM factors), l.window_id, b.seen, s.items) AS scores
    FROM shown AS s
    JOIN before AS b ON b.scenario_id = s.scenario_id
    JOIN learned AS l ON l.scenario_id = s.scenario_id
    WHERE (SELECT count(impressions) FROM interactions) = 0
)
SELECT
    'collaborative' AS baseline,
    scenario_id,
    unnest(generate_series(1, cardinality(scores))) AS place,
    unnest(scores) AS score,
    NULL AS prob
FROM scored;
