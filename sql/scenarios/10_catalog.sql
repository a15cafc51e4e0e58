-- The dataset's items, numbered in the order in which they became available: what
-- could have been shown at a time is then a prefix of the numbers (the horizon).
-- Items of unknown date count as always available.
CREATE OR REPLACE TABLE catalog AS
SELECT
    item_id,
    available_at,
    text,
    CAST(row_number() OVER (ORDER BY available_at NULLS FIRST, item_id) AS BIGINT) - 1 AS item_index
FROM items;

-- The log, each event with its place among its user's events. `earlier` counts the
-- events strictly before it in time; equal times are ordered by the raw log's order.
CREATE OR REPLACE VIEW events AS
SELECT
    i.user_id,
    i.item_id,
    c.item_index,
    i.ts,
    i.row,
    i.impressions,
    CAST(row_number() OVER (PARTITION BY i.user_id ORDER BY i.ts, i.row) AS BIGINT) AS position,
    CAST(rank() OVER (PARTITION BY i.user_id ORDER BY i.ts) AS BIGINT) - 1 AS earlier
FROM interactions AS i
JOIN catalog AS c ON c.item_id = i.item_id;
