-- Games. Names come with HTML entities, some of them escaped twice. A game is available from
-- its release date on, or from its first review, if that came before: it was sold in early
-- access. `text` is what the content ranker compares.
CREATE VIEW items AS
WITH games AS (
    SELECT
        file,
        line,
        game_id,
        one_line(unescape_html(unescape_html(coalesce(title, app_name)))) AS title,
        string_to_array(unescape_html(genres), '|') AS genres,
        -- Several developers have bare commas between them.
        regexp_replace(one_line(unescape_html(unescape_html(developer))), ',\s*', ', ', 'g') AS developer,
        nullif(one_line(unescape_html(unescape_html(publisher))), 'None') AS publisher,
        one_line(release_date) AS release_date,
        parse_time(release_date, '%Y-%m-%d') AS released_at,
        string_to_array(unescape_html(tags), '|') AS tags,
        string_to_array(unescape_html(specs), '|') AS specs,
        -- A label ('Mostly Positive'), or how many reviews there were where they were too few.
        CASE WHEN sentiment NOT LIKE '%user review%' THEN sentiment END AS sentiment,
        CAST(regexp_match(sentiment, '^([0-9]{1,9}) user review')[1] AS BIGINT) AS reviews,
        -- Words in place of a price are a button's: 'Free to Play', but also 'Install Now'.
        CASE WHEN price_words ILIKE '%free%' THEN 0.0 ELSE price END AS price,
        row_number() OVER (PARTITION BY game_id ORDER BY line) AS copy
    FROM raw_games
),
first_reviews AS (
    SELECT game_id, min(reviewed_at) AS reviewed_at
    FROM raw_reviews
    WHERE reviewed_at >= TIMESTAMP '2003-09-12'
    GROUP BY game_id
)
SELECT
    g.game_id AS item_id,
    g.title,
    g.genres,
    g.developer,
    g.publisher,
    g.release_date,
    g.released_at,
    g.tags,
    g.specs,
    g.sentiment,
    g.reviews,
    g.price,
    CASE WHEN r.reviewed_at < g.released_at THEN r.reviewed_at ELSE g.released_at END AS available_at,
    concat_ws(
        ' ', g.title, array_to_string(g.genres, ' '), array_to_string(g.tags, ' '), g.developer
    ) AS text,
    g.file,
    g.line,
    CASE
        WHEN g.game_id IS NULL THEN 'game has no id'
        WHEN g.copy > 1 THEN 'game stands twice'
        WHEN coalesce(g.title, '') = '' THEN 'game has no name'
    END AS quarantined
FROM games AS g
LEFT JOIN first_reviews AS r ON r.game_id = g.game_id;
