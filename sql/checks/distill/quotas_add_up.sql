-- Quotas add up to what was asked for (or to all there is), and no stratum gives more
-- than it has or is off its proportional share by one or more.
SELECT 'total' AS stratum, sum(quota) AS given, least(@pairs, sum(size)) AS wanted
FROM quotas
HAVING sum(quota) <> least(@pairs, sum(size))
UNION ALL
SELECT
    concat(dataset, '/', CAST(choice_count AS TEXT)),
    quota,
    size
FROM (
    SELECT *, size * least(@pairs, sum(size) OVER ()) / CAST(sum(size) OVER () AS DOUBLE) AS share
    FROM quotas
)
WHERE quota > size OR abs(quota - share) >= 1;
