-- How many pairs each stratum gives: proportional to its size, rounded by largest
-- remainder, so that the quotas add up to exactly @pairs (or to all there are).
CREATE OR REPLACE VIEW quotas AS
WITH strata AS (
    SELECT dataset, choice_count, count(*) AS size
    FROM selectable
    GROUP BY dataset, choice_count
),
shares AS (
    SELECT
        dataset,
        choice_count,
        size,
        least(@pairs, sum(size) OVER ()) AS wanted,
        size * least(@pairs, sum(size) OVER ()) / sum(size) OVER () AS whole,
        size * least(@pairs, sum(size) OVER ()) % sum(size) OVER () AS remainder
    FROM strata
)
SELECT
    dataset,
    choice_count,
    size,
    whole + CASE
        WHEN row_number() OVER (ORDER BY remainder DESC, dataset, choice_count)
            <= wanted - sum(whole) OVER () THEN 1
        ELSE 0
    END AS quota
FROM shares;
