-- Items, each with the rule that it breaks and the number of its reviews by kept users.
CREATE VIEW judged_items AS
SELECT
    i.item_id,
    one_line(unescape_html(i.title)) AS title,
    one_line(unescape_html(coalesce(i.category, i.main_category))) AS category,
    one_line(unescape_html(i.store)) AS store,
    -- A number, or a text that is one (`$1,299.00`); of others (`from 14.99`, `—`) none.
    try_cast(
        replace(regexp_match(i.price, '^\$?([0-9,]{1,9}(\.[0-9]+)?)$')[1], ',', '') AS DOUBLE
    ) AS price,
    i.average_rating,
    i.rating_number,
    coalesce(r.by_kept_users, 0) AS by_kept_users,
    i.file,
    i.line,
    CASE
        WHEN i.item_id IS NULL THEN 'item id is missing'
        WHEN row_number() OVER (PARTITION BY i.item_id ORDER BY i.line) > 1 THEN 'item stands twice'
    END AS quarantined,
    CASE
        WHEN coalesce(i.rating_number, 0) < 10 THEN 'item with fewer than 10 ratings'
        WHEN coalesce(i.details, 0) < 2 THEN 'item with fewer than 2 details'
        WHEN r.item_id IS NULL THEN 'item with fewer than 5 reviews in the last 30 %'
    END AS rule
FROM (
    SELECT r.item_id, count(u.user_id) AS by_kept_users
    FROM (SELECT user_id FROM users WHERE filtered IS NULL) AS u
    RIGHT JOIN reviews AS r ON r.user_id = u.user_id
    WHERE r.quarantined IS NULL AND r.milliseconds >= (SELECT since FROM last_part)
    GROUP BY r.item_id
    HAVING count(*) >= 5
) AS r
RIGHT JOIN raw_items AS i ON i.item_id = r.item_id;

-- Kept: what kept users reviewed, and up to 65,536 other items that break no rule, so that
-- the pool of options holds more than what somebody chose.
CREATE VIEW items AS
SELECT
    item_id,
    title,
    category,
    store,
    price,
    average_rating,
    rating_number,
    concat_ws(' ', title, category, store) AS text,
    file,
    line,
    quarantined,
    CASE
        WHEN quarantined IS NOT NULL OR rule IS NOT NULL THEN rule
        WHEN by_kept_users = 0 AND place > 65536 THEN 'beyond 65,536 items without a kept review'
    END AS filtered
FROM (
    SELECT
        *,
        row_number() OVER (
            PARTITION BY quarantined, rule, by_kept_users = 0
            ORDER BY stable_hash(0, item_id), line
        ) AS place
    FROM judged_items
);
