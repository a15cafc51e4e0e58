-- MovieLens-1M's three files: fields separated by `::`, ISO-8859-1, no header, no quoting.
CREATE VIEW raw_users AS
SELECT * FROM read_delimited(
    'users.dat', '::',
    'user_id BIGINT, gender TEXT, age INT, occupation INT, zip TEXT',
    'latin1'
);

CREATE VIEW raw_movies AS
SELECT * FROM read_delimited(
    'movies.dat', '::',
    'movie_id BIGINT, title TEXT, genres TEXT',
    'latin1'
);

CREATE VIEW raw_ratings AS
SELECT * FROM read_delimited(
    'ratings.dat', '::',
    'user_id BIGINT, movie_id BIGINT, rating INT, seconds BIGINT',
    'latin1'
);
