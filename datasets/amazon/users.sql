-- Where the last 30 % of the timeline begins: the latest full hour before which at most
-- 70 % of the reviews were written.
CREATE VIEW last_part AS
SELECT max(hour) * 3600000 AS since
FROM (
    SELECT
        hour,
        sum(reviews) OVER (ORDER BY hour) - reviews AS earlier,
        sum(reviews) OVER () AS total
    FROM (
        SELECT milliseconds / 3600000 AS hour, count(*) AS reviews
        FROM raw_reviews
        WHERE milliseconds BETWEEN 804556800000 AND 4102444800000
        GROUP BY 1
    )
)
WHERE earlier <= 0.7 * total;

-- Every review, and what is wrong with it. Texts that are too old to be kept are left out here,
-- before the sort that finds reviews standing twice.
CREATE VIEW reviews AS
SELECT
    r.file,
    r.line,
    r.user_id,
    r.item_id,
    r.milliseconds,
    r.rating,
    r.summary,
    r.review,
    CASE
        WHEN r.user_id IS NULL THEN 'user id is missing'
        WHEN i.item_id IS NULL THEN 'item is not in the metadata file'
        WHEN r.rating IS NULL OR r.rating NOT BETWEEN 1 AND 5 THEN 'rating is not 1 to 5'
        -- The shop opened in July 1995; 2100 is past any log.
        WHEN r.milliseconds IS NULL OR r.milliseconds NOT BETWEEN 804556800000 AND 4102444800000
            THEN 'time is not between July 1995 and 2100'
        WHEN row_number() OVER (PARTITION BY r.user_id, r.item_id, r.milliseconds ORDER BY r.line) > 1
            THEN 'review stands twice'
    END AS quarantined
FROM (
    SELECT
        * EXCEPT (summary, review),
        CASE WHEN milliseconds >= (SELECT since FROM last_part) THEN summary END AS summary,
        CASE WHEN milliseconds >= (SELECT since FROM last_part) THEN review END AS review
    FROM raw_reviews
) AS r
LEFT JOIN (SELECT DISTINCT item_id FROM raw_items) AS i ON i.item_id = r.item_id;

-- Who wrote a review in that time.
CREATE VIEW users AS
SELECT
    user_id,
    CASE WHEN count(*) < 5 THEN 'user with fewer than 5 reviews in the last 30 %' END AS filtered
FROM reviews
WHERE quarantined IS NULL AND milliseconds >= (SELECT since FROM last_part)
GROUP BY user_id;
