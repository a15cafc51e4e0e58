-- What identifies a published row. `lines` holds the files' rows as JSON text: kind,
-- name, file, line, error, json. A timestamp is a date in words, or a count since 1970
-- whose unit its size tells: seconds, milliseconds, microseconds or nanoseconds.
CREATE OR REPLACE TABLE keyed AS
WITH fields AS (
    SELECT
        *,
        json_as_text(json, 'dataset') AS dataset,
        json_as_text(json, 'user_id') AS user_id,
        json_as_text(json, 'item_id') AS item_id,
        json_as_text(json, 'timestamp') AS timestamp,
        TRY_CAST(json_as_text(json, 'timestamp') AS DOUBLE) AS number,
        json_get_int(json, 'item_pos') + 1 AS position
    FROM lines
),
times AS (
    SELECT
        file,
        line,
        CASE
            WHEN number IS NULL THEN arrow_cast(TRY_CAST(timestamp AS TIMESTAMP), 'Timestamp(Microsecond, None)')
            ELSE to_timestamp_micros(CAST(round(number * CASE
                WHEN abs(number) < 1e11 THEN 1e6
                WHEN abs(number) < 1e14 THEN 1e3
                WHEN abs(number) < 1e17 THEN 1
                ELSE 1e-3
            END) AS BIGINT))
        END AS ts
    FROM fields
),
exposures AS (
    SELECT file, line, array_agg(json_as_text(entry) ORDER BY place) AS exposure
    FROM (
        SELECT
            file,
            line,
            unnest(json_get_array(json, 'impression_list')) AS entry,
            unnest(generate_series(1, CAST(json_length(json, 'impression_list') AS BIGINT))) AS place
        FROM lines
    )
    GROUP BY file, line
)
SELECT
    -- The same on every machine and whatever the seed. The split belongs to it: published
    -- evaluation and training sets may share an interaction.
    lpad(to_hex(stable_hash(
        0, 'published', f.kind, f.dataset, f.user_id, f.item_id, arrow_cast(t.ts, 'Int64')
    )), 16, '0') AS scenario_id,
    f.*,
    t.ts,
    e.exposure
FROM fields AS f
JOIN times AS t ON t.file = f.file AND t.line = f.line
LEFT JOIN exposures AS e ON e.file = f.file AND e.line = f.line;
