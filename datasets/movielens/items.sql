-- Movies. The year stands in brackets at the title's end; a movie is available from the
-- first day of that year. `text` is what the content ranker compares.
CREATE VIEW items AS
SELECT
    CAST(movie_id AS TEXT) AS item_id,
    title,
    year,
    genres,
    CAST(concat(CAST(year AS TEXT), '-01-01T00:00:00Z') AS TIMESTAMP) AS available_at,
    concat(regexp_replace(title, '\s*\([0-9]{4}\)\s*$', ''), ' ', array_to_string(genres, ' ')) AS text,
    file,
    line,
    CASE WHEN copy > 1 THEN 'movie stands twice' END AS quarantined,
    CAST(NULL AS TEXT) AS filtered
FROM (
    SELECT
        movie_id,
        one_line(title) AS title,
        CAST(regexp_match(title, '\(([0-9]{4})\)\s*$')[1] AS INT) AS year,
        array_remove_all(string_to_array(genres, '|'), '(no genres listed)') AS genres,
        file,
        line,
        row_number() OVER (PARTITION BY movie_id ORDER BY line) AS copy
    FROM raw_movies
);
