-- The steps that made them, each with what it last wrote.
SELECT step, output AS "table", rows, software
FROM made
QUALIFY row_number() OVER (PARTITION BY step, output ORDER BY ended_at DESC) = 1
ORDER BY ended_at;
