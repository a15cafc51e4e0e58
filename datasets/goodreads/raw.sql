-- A genre's interactions, reviews and books, and the authors and genres of all books, a JSON
-- object a line; books have texts even for numbers. Descriptions and reviews are cut to the 50
-- words that a prompt shows, so that they can be joined in little memory.
CREATE VIEW raw_interactions AS
SELECT
    file,
    line,
    CASE WHEN bad THEN coalesce(error, 'not a JSON object') END AS error,
    CASE WHEN bad THEN coalesce(raw, left(text, 1000)) END AS raw,
    json_get_str(text, 'user_id') AS user_id,
    json_get_str(text, 'book_id') AS book_id,
    json_get_str(text, 'review_id') AS review_id,
    json_get_bool(text, 'is_read') AS is_read,
    json_get_int(text, 'rating') AS rating,
    parse_time(json_get_str(text, 'date_added'), '%a %b %d %H:%M:%S %z %Y') AS added_at,
    parse_time(json_get_str(text, 'date_updated'), '%a %b %d %H:%M:%S %z %Y') AS updated_at
FROM (
    SELECT *, json_kind(text) IS DISTINCT FROM 'object' AS bad
    FROM read_lines('goodreads_interactions_{variant}.json')
);

CREATE VIEW raw_reviews AS
SELECT
    file,
    line,
    CASE WHEN bad THEN coalesce(error, 'not a JSON object') END AS error,
    CASE WHEN bad THEN coalesce(raw, left(text, 1000)) END AS raw,
    json_get_str(text, 'review_id') AS review_id,
    first_words(json_get_str(text, 'review_text'), 50) AS review
FROM (
    SELECT *, json_kind(text) IS DISTINCT FROM 'object' AS bad
    FROM read_lines('goodreads_reviews_{variant}.json')
);

CREATE VIEW raw_books AS
SELECT
    file,
    line,
    CASE WHEN bad THEN coalesce(error, 'not a JSON object') END AS error,
    CASE WHEN bad THEN coalesce(raw, left(text, 1000)) END AS raw,
    json_get_str(text, 'book_id') AS book_id,
    json_get_str(text, 'title') AS title,
    json_get_json(text, 'authors') AS authors,
    first_words(json_get_str(text, 'description'), 50) AS description,
    json_get_str(text, 'publisher') AS publisher,
    try_cast(json_get_str(text, 'publication_year') AS INT) AS year,
    try_cast(json_get_str(text, 'num_pages') AS INT) AS pages,
    try_cast(json_get_str(text, 'average_rating') AS DOUBLE) AS average_rating,
    try_cast(json_get_str(text, 'ratings_count') AS BIGINT) AS ratings_count
FROM (
    SELECT *, json_kind(text) IS DISTINCT FROM 'object' AS bad
    FROM read_lines('goodreads_books_{variant}.json')
);

CREATE VIEW raw_authors AS
SELECT
    file,
    line,
    CASE WHEN bad THEN coalesce(error, 'not a JSON object') END AS error,
    CASE WHEN bad THEN coalesce(raw, left(text, 1000)) END AS raw,
    json_get_str(text, 'author_id') AS author_id,
    json_get_str(text, 'name') AS name
FROM (
    SELECT *, json_kind(text) IS DISTINCT FROM 'object' AS bad
    FROM read_lines('goodreads_book_authors.json')
);

CREATE VIEW raw_genres AS
SELECT
    file,
    line,
    CASE WHEN bad THEN coalesce(error, 'not a JSON object') END AS error,
    CASE WHEN bad THEN coalesce(raw, left(text, 1000)) END AS raw,
    json_get_str(text, 'book_id') AS book_id,
    json_get_json(text, 'genres') AS genres
FROM (
    SELECT *, json_kind(text) IS DISTINCT FROM 'object' AS bad
    FROM read_lines('goodreads_book_genres_initial.json')
);
