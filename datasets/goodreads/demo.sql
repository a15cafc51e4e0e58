-- The demo world in Goodreads' raw format: films as books, with all their attributes as texts.
CREATE VIEW "goodreads_books_{variant}.json.gz" AS
SELECT CAST(concat(
    '{"isbn": "", "text_reviews_count": "12", "series": [], "country_code": "US", "language_code": "",',
    ' "popular_shelves": [{"count": "7", "name": "to-read"}], "is_ebook": "false", "average_rating": "',
    CAST(round(least(5, greatest(1, 3.6 + quality / 2)), 2) AS TEXT),
    '", "description": "', make_array('', 'A quiet book.', 'Said to be \"short\".\n')[item % 3 + 1],
    '", "authors": [{"author_id": "', CAST(item % 60 + 1 AS TEXT), '", "role": ""}',
    CASE WHEN item % 4 = 0 THEN
        concat(', {"author_id": "', CAST(item % 7 + 100 AS TEXT), '", "role": "Illustrator"}')
    END,
    '], "publisher": "', CASE WHEN item % 8 <> 0 THEN 'Demo Press' END,
    '", "num_pages": "',
    CASE WHEN item % 6 <> 0 THEN CAST(draw_int(24, 400, @seed, 'pages', item) AS TEXT) END,
    '", "publication_year": "',
    CASE WHEN item % 50 = 1 THEN '20' WHEN item % 7 <> 0 THEN CAST(year AS TEXT) END,
    '", "url": "", "book_id": "', CAST(item AS TEXT),
    '", "ratings_count": "',
    CAST(CAST(power(10, 0.9 + 3 * uniform(@seed, 'ratings', item)) AS BIGINT) AS TEXT),
    '", "title": "', title, CASE WHEN item % 25 = 0 THEN ', Vol. 1 (\"More\", #1)' END, '"}'
) AS BYTEA) AS line
FROM world_items
ORDER BY item;

-- The file knows the books of all genres, and some without a genre.
CREATE VIEW "goodreads_book_genres_initial.json.gz" AS
SELECT CAST(concat(
    '{"book_id": "', CAST(item AS TEXT), '", "genres": {',
    CASE WHEN item % 40 <> 0 THEN
        concat('"', lower(genres[1]), '": 9', ', "' || lower(genres[2]) || '": 6')
    END,
    '}}'
) AS BYTEA) AS line
FROM (SELECT item, genres FROM world_items UNION ALL SELECT item + 10000, genres FROM world_items)
ORDER BY item;

-- Of the authors of books, numbers 105 and 106 are missing.
CREATE VIEW "goodreads_book_authors.json.gz" AS
SELECT CAST(concat(
    '{"average_rating": "3.90", "author_id": "', CAST(author AS TEXT),
    '", "text_reviews_count": "7", "name": "',
    make_array('Ana', 'Bo', 'Cleo', 'Dag', 'Edda')[author % 5 + 1], ' ',
    make_array('Ames', 'Böll', 'Cruz', 'Dahl', 'Eco', 'Frey', 'Gill')[author % 7 + 1],
    '", "ratings_count": "90"}'
) AS BYTEA) AS line
FROM (SELECT unnest(generate_series(1, 104)) AS author)
ORDER BY author;

-- What a row of the log and its review have in common. The world's first year, 1999, becomes
-- 2013, and its clock that of California. One book in five is put on the shelf, not read.
CREATE VIEW shelf AS
SELECT
    user,
    ts,
    event,
    rating,
    event % 5 = 0 AS unread,
    concat(
        '"user_id": "', md5(concat('user', CAST(user AS TEXT))),
        '", "book_id": "', CAST(CASE WHEN event % 800 = 5 THEN 900000 ELSE item END AS TEXT),
        '", "review_id": "', md5(concat('event', CAST(event AS TEXT))), '"'
    ) AS ids,
    concat(
        '"date_added": "', CASE WHEN event % 900 <> 4 THEN to_char(added, '%a %b %d %H:%M:%S -0700 %Y') END,
        '", "date_updated": "', to_char(updated, '%a %b %d %H:%M:%S -0700 %Y'),
        '", "read_at": "", "started_at": ""'
    ) AS dates
FROM (
    SELECT
        *,
        to_timestamp_seconds(ts + 441849600 - 7 * 3600) AS added,
        to_timestamp_seconds(ts + 441849600 - 7 * 3600 + event % 3 * 432000) AS updated
    FROM world_events
);

CREATE VIEW "goodreads_interactions_{variant}.json.gz" AS
SELECT CAST(CASE
    WHEN event % 1000 = 1 THEN left(line, 60)
    -- A row that stands twice.
    WHEN event % 700 = 2 THEN concat(line, chr(10), line)
    ELSE line
END AS BYTEA) AS line
FROM (
    SELECT
        user,
        ts,
        event,
        concat(
            '{', ids, ', "is_read": ', CASE WHEN unread THEN 'false' ELSE 'true' END, ', "rating": ',
            CASE WHEN unread THEN '0' WHEN event % 600 = 3 THEN '7' ELSE CAST(rating AS TEXT) END,
            ', "review_text_incomplete": "", ', dates, '}'
        ) AS line
    FROM shelf
)
ORDER BY user, ts, event;

CREATE VIEW "goodreads_reviews_{variant}.json.gz" AS
SELECT CAST(concat(
    '{', ids, ', "rating": ', CAST(rating AS TEXT), ', "review_text": "',
    make_array('Not for me.', 'Too long,\nI fear.', 'Fine once.', 'Well made.', 'A \"gem\"!')[rating],
    '", ', dates, ', "n_votes": 0, "n_comments": 0}'
) AS BYTEA) AS line
FROM shelf
WHERE event % 4 = 1 AND NOT unread
ORDER BY user, ts, event;
