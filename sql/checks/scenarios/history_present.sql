-- Every scenario remembers as many events as asked, or all there were.
SELECT s.scenario_id, count(h.item_id) AS remembered, d.earlier
FROM scenarios AS s
JOIN sampled AS d ON d.scenario_id = s.scenario_id
LEFT JOIN history AS h ON h.scenario_id = s.scenario_id
GROUP BY s.scenario_id, d.earlier
HAVING count(h.item_id) < least(@history_min, d.earlier)
    OR count(h.item_id) > @history_max
    OR d.earlier < @earlier_min;
