-- Each sampled interaction as the user met it, in words. The dataset's own `prompt.sql`
-- has rendered the profile, the history and the options. Options begin with their letters:
-- sorting the texts is far cheaper than an ordered aggregate.
CREATE OR REPLACE VIEW rendered AS
WITH histories AS (
    SELECT scenario_id, string_agg('- ' || entry, chr(10) ORDER BY position) AS history
    FROM history_text
    GROUP BY scenario_id
),
shown AS (
    SELECT
        scenario_id,
        array_to_string(array_sort(array_agg('[' || letter(position) || '] ' || entry)), chr(10)) AS options
    FROM option_text
    GROUP BY scenario_id
),
shown_items AS (
    SELECT scenario_id, array_agg(item_id ORDER BY position) AS exposure
    FROM options
    GROUP BY scenario_id
)
SELECT
    s.scenario_id,
    @dataset AS dataset,
    s.split,
    s.user_id,
    s.item_id,
    s.ts,
    s.row,
    i.exposure,
    letter(e.truth_position) AS truth,
    e.choice_count,
    p.profile,
    h.history,
    o.options
FROM sampled AS s
JOIN exposures AS e ON e.scenario_id = s.scenario_id
JOIN shown_items AS i ON i.scenario_id = s.scenario_id
JOIN histories AS h ON h.scenario_id = s.scenario_id
JOIN shown AS o ON o.scenario_id = s.scenario_id
LEFT JOIN profile_text AS p ON p.user_id = s.user_id;
