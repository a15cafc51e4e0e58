-- Reviews: the first of each user and game, of users who have 5 to 20 such. The file of games
-- lacks some that were reviewed and then taken off the store: their reviews are left out.
CREATE VIEW interactions AS
WITH reviews AS (
    SELECT
        r.username AS user_id,
        r.game_id AS item_id,
        r.reviewed_at AS ts,
        r.line AS row,
        r.hours,
        r.early_access,
        first_words(one_line(unescape_html(r.review)), 50) AS review,
        r.file,
        r.line,
        CASE
            WHEN r.username IS NULL THEN 'review names no user'
            WHEN r.game_id IS NULL THEN 'review names no game'
            -- Steam opened on 2003-09-12; 2100 is past any log.
            WHEN r.reviewed_at IS NULL
                OR r.reviewed_at NOT BETWEEN TIMESTAMP '2003-09-12' AND TIMESTAMP '2100-01-01'
                THEN 'date is not a day between 2003-09-12 and 2100'
            WHEN r.hours < 0 THEN 'hours played are negative'
        END AS quarantined,
        CASE WHEN i.item_id IS NULL THEN 'game is not in steam_games.json' END AS unknown
    FROM raw_reviews AS r
    LEFT JOIN (SELECT item_id FROM items WHERE quarantined IS NULL) AS i ON i.item_id = r.game_id
),
firsts AS (
    SELECT
        *,
        CASE
            WHEN unknown IS NOT NULL THEN unknown
            WHEN row_number() OVER (
                PARTITION BY user_id, item_id, quarantined IS NULL ORDER BY ts, row
            ) > 1 THEN 'later review of the same game'
        END AS repeated
    FROM reviews
),
-- Twenty rows to each side tell up to 20 from more, and never hold a whole log in memory.
counted AS (
    SELECT
        *,
        count(*) OVER (
            PARTITION BY user_id, quarantined IS NULL AND repeated IS NULL
            ORDER BY ts, row
            ROWS BETWEEN 20 PRECEDING AND 20 FOLLOWING
        ) AS reviews
    FROM firsts
)
SELECT
    user_id,
    item_id,
    ts,
    row,
    hours,
    early_access,
    review,
    file,
    line,
    quarantined,
    CASE
        WHEN quarantined IS NOT NULL THEN NULL
        WHEN repeated IS NOT NULL THEN repeated
        WHEN reviews < 5 THEN 'user with fewer than 5 reviews'
        WHEN reviews > 20 THEN 'user with more than 20 reviews'
    END AS filtered
FROM counted;
