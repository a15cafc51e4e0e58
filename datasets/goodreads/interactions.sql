-- Books on users' shelves, from the time they were put there. Of users with fewer than 5 sound
-- ones none is kept. Read or not, rating and review are those of the last update.
CREATE VIEW interactions AS
SELECT
    i.user_id,
    i.book_id AS item_id,
    i.added_at AS ts,
    i.line AS row,
    i.is_read,
    nullif(i.rating, 0) AS rating,
    one_line(r.review) AS review,
    i.updated_at,
    i.file,
    i.line,
    i.quarantined,
    CASE
        WHEN i.quarantined IS NULL AND i.near < 5 THEN 'user with fewer than 5 interactions'
    END AS filtered
FROM (SELECT review_id, min(review) AS review FROM raw_reviews GROUP BY review_id) AS r
RIGHT JOIN (
    -- Who has 5 rows or more has 5 within 4 rows of any: told so, users need not be held in memory.
    SELECT
        *,
        count(*) OVER (
            PARTITION BY user_id, quarantined IS NULL ROWS BETWEEN 4 PRECEDING AND 4 FOLLOWING
        ) AS near
    FROM (
        SELECT
            l.*,
            CASE
                WHEN l.user_id IS NULL THEN 'user id is missing'
                WHEN b.book_id IS NULL THEN 'book is not in the books file'
                WHEN l.rating IS NULL OR l.rating NOT BETWEEN 0 AND 5 THEN 'rating is not 0 to 5'
                -- Shelves may be older than the site, which opened in 2007; 2100 is past any log.
                WHEN l.added_at IS NULL
                    OR l.added_at NOT BETWEEN TIMESTAMP '1995-01-01' AND TIMESTAMP '2100-01-01'
                THEN 'date_added is not between 1995 and 2100'
                WHEN row_number() OVER (PARTITION BY l.user_id, l.book_id ORDER BY l.line) > 1
                THEN 'book stands twice on the shelf'
            END AS quarantined
        FROM raw_interactions AS l
        LEFT JOIN (SELECT DISTINCT book_id FROM raw_books) AS b ON b.book_id = l.book_id
    )
) AS i ON i.review_id = r.review_id;
