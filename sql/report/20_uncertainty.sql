-- Mean uncertainty of the weak model in bits, after its own decisions and after the
-- strong model's; their difference is the epistemic gap.
SELECT
    count(*) AS scenarios,
    round(avg(eu_weak), 3) AS eu_weak,
    round(avg(eu_strong), 3) AS eu_strong,
    round(avg(delta_eu), 3) AS delta_eu,
    round(100 * avg(accuracy_weak), 1) AS accuracy_weak,
    round(100 * avg(accuracy_strong), 1) AS accuracy_strong
FROM uncertainty;
