-- The names of each book's authors in their order, with their role where there is one.
CREATE VIEW book_authors AS
SELECT b.line, array_agg(concat(a.name, ' (' || nullif(b.role, '') || ')') ORDER BY b.place) AS authors
FROM (
    SELECT
        line,
        place,
        json_get_str(author, 'author_id') AS author_id,
        one_line(json_get_str(author, 'role')) AS role
    FROM (
        SELECT
            line,
            unnest(json_get_array(authors)) AS author,
            unnest(generate_series(1, json_length(authors))) AS place
        FROM raw_books
    )
) AS b
JOIN (
    SELECT author_id, min(one_line(name)) AS name
    FROM raw_authors
    WHERE name <> ''
    GROUP BY author_id
) AS a ON a.author_id = b.author_id
GROUP BY b.line;

-- Each book's genres, the one most readers gave it first. The file knows the books of all
-- genres.
CREATE VIEW book_genres AS
SELECT book_id, array_agg(genre ORDER BY votes DESC NULLS LAST, genre) AS genres
FROM (
    SELECT book_id, genre, max(json_get_int(genres, genre)) AS votes
    FROM (
        SELECT b.book_id, g.genres, unnest(json_object_keys(g.genres)) AS genre
        FROM (SELECT DISTINCT book_id FROM raw_books) AS b
        JOIN raw_genres AS g ON g.book_id = b.book_id
    )
    GROUP BY book_id, genre
)
GROUP BY book_id;

-- Books. A number that cannot be one of a book is left out.
CREATE VIEW items AS
SELECT
    b.book_id AS item_id,
    one_line(b.title) AS title,
    a.authors,
    g.genres,
    b.description,
    one_line(b.publisher) AS publisher,
    CASE WHEN b.year BETWEEN 1000 AND 2100 THEN b.year END AS year,
    CASE WHEN b.pages > 0 THEN b.pages END AS pages,
    CASE WHEN b.ratings_count > 0 THEN b.average_rating END AS average_rating,
    b.ratings_count,
    concat_ws(' ', b.title, array_to_string(a.authors, ' '), array_to_string(g.genres, ' ')) AS text,
    b.file,
    b.line,
    CASE
        WHEN b.book_id IS NULL THEN 'book id is missing'
        WHEN row_number() OVER (PARTITION BY b.book_id ORDER BY b.line) > 1 THEN 'book stands twice'
    END AS quarantined
FROM raw_books AS b
LEFT JOIN book_authors AS a ON a.line = b.line
LEFT JOIN book_genres AS g ON g.book_id = b.book_id;
