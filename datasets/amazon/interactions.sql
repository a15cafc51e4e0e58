-- Reviews of the last 30 % of the timeline, by kept users, of kept items. A review's time is
-- when it was written: the log does not tell when the item was bought.
CREATE VIEW interactions AS
SELECT
    r.user_id,
    r.item_id,
    to_timestamp_millis(r.milliseconds) AS ts,
    r.line AS row,
    r.rating,
    one_line(unescape_html(r.summary)) AS summary,
    one_line(unescape_html(r.review)) AS review,
    r.file,
    r.line,
    r.quarantined,
    CASE
        WHEN r.quarantined IS NOT NULL THEN NULL
        WHEN r.milliseconds < (SELECT since FROM last_part) THEN 'before the last 30 % of the timeline'
        WHEN u.user_id IS NULL THEN 'user is not kept'
        WHEN i.item_id IS NULL THEN 'item is not kept'
    END AS filtered
FROM reviews AS r
LEFT JOIN (SELECT user_id FROM users WHERE filtered IS NULL) AS u ON u.user_id = r.user_id
LEFT JOIN (SELECT item_id FROM items WHERE filtered IS NULL AND quarantined IS NULL) AS i
    ON i.item_id = r.item_id;
