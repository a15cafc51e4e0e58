-- The truth is uniform over positions, the last one included: a chi-square test per
-- number of choices, at p = 1e-6 (Wilson-Hilferty approximation of its quantile). Logged
-- exposures keep the order in which they were shown.
SELECT choice_count, scenarios, chi_square, bound
FROM (
    SELECT
        choice_count,
        sum(times) AS scenarios,
        sum(times * times) * choice_count / CAST(sum(times) AS DOUBLE) - sum(times) AS chi_square,
        (choice_count - 1) * power(
            1 - 2.0 / (9 * (choice_count - 1)) + 4.7534 * sqrt(2.0 / (9 * (choice_count - 1))), 3
        ) AS bound
    FROM (
        SELECT s.choice_count, s.truth, count(*) AS times
        FROM scenarios AS s
        JOIN exposures AS e ON e.scenario_id = s.scenario_id AND NOT e.logged
        GROUP BY s.choice_count, s.truth
    )
    GROUP BY choice_count
)
WHERE scenarios >= 5 * choice_count AND chi_square > bound;
