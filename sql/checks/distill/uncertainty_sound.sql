-- Uncertainties are within their mathematical bounds.
SELECT u.*
FROM uncertainty AS u
JOIN scenarios AS s ON s.scenario_id = u.scenario_id
WHERE u.eu_strong < 0 OR u.eu_weak < 0 OR u.au_strong < 0 OR u.au_weak < 0
    OR u.tu_strong > log2(s.choice_count) + 1e-9 OR u.tu_weak > log2(s.choice_count) + 1e-9;
