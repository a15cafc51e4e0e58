-- Steps: what each has committed, how fast, and when it will be done at that speed.
WITH stamped AS (
    SELECT *, row_number() OVER (PARTITION BY step, "table" ORDER BY committed_at DESC) AS age
    FROM commits()
    WHERE step IS NOT NULL
),
steps AS (
    SELECT
        step,
        "table",
        sum(units) AS units,
        sum(rows) AS rows,
        sum(errors) AS errors,
        sum(prompt_tokens) AS prompt_tokens,
        sum(generated_tokens) AS generated_tokens,
        max(committed_at) AS last_commit,
        max(units_left) FILTER (WHERE age = 1) AS units_left,
        sum(units) FILTER (WHERE age <= 8) / nullif(sum(seconds) FILTER (WHERE age <= 8), 0) AS units_per_second
    FROM stamped
    GROUP BY step, "table"
)
SELECT
    step,
    "table",
    rows,
    errors,
    prompt_tokens,
    generated_tokens,
    round(units_per_second, 2) AS units_per_second,
    units_left,
    CASE
        WHEN units_left > 0 THEN concat(CAST(ceil(units_left / units_per_second / 60) AS BIGINT), ' min')
    END AS time_left,
    date_trunc('second', last_commit) AS last_commit
FROM steps
WHERE "table" <> 'runs'
ORDER BY last_commit;
