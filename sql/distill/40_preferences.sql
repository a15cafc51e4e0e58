-- The preference set: for each selected scenario its prompt, the chosen answer and the
-- rejected one, each ending in the behavior it stands for. A strategy may pair behaviors
-- without decisions: NULL texts add nothing, and there may be no uncertainty.
--
-- output: preferences
-- inputs: scenarios, decisions, scores, uncertainty
-- checks: sql/checks/distill
SELECT
    s.scenario_id,
    s.dataset,
    s.user_id,
    s.item_id,
    s.ts,
    s.exposure,
    s.truth,
    s.choice_count,
    r.rank,
    u.delta_eu,
    p.chosen_draw,
    p.chosen_entropy,
    p.rejected_source,
    p.rejected_draw,
    p.rejected_behavior,
    p.rejected_entropy,
    s.messages AS prompt,
    concat(c.text || chr(10), 'Behavior: [', s.truth, ']') AS chosen,
    concat(d.text || chr(10), 'Behavior: [', p.rejected_behavior, ']') AS rejected
FROM ranked AS r
JOIN quotas AS q ON q.dataset = r.dataset AND q.choice_count = r.choice_count AND r.rank <= q.quota
JOIN pairs AS p ON p.scenario_id = r.scenario_id
JOIN scenarios AS s ON s.scenario_id = r.scenario_id
LEFT JOIN uncertainty AS u ON u.scenario_id = r.scenario_id
LEFT JOIN decisions AS c
    ON c.scenario_id = p.scenario_id AND c.source = 'strong' AND c.draw = p.chosen_draw
LEFT JOIN decisions AS d
    ON d.scenario_id = p.scenario_id AND d.source = p.rejected_source AND d.draw = p.rejected_draw
ORDER BY s.scenario_id;
