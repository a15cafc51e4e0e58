-- The demo world in MovieLens-1M's raw format: a view a file, its lines as bytes.
CREATE VIEW "users.dat" AS
SELECT latin1(concat_ws(
    '::', CAST(user AS TEXT), gender, CAST(age AS TEXT), CAST(occupation AS TEXT), zip
)) AS line
FROM world_users
ORDER BY user;

CREATE VIEW "movies.dat" AS
SELECT latin1(concat_ws(
    '::', CAST(item AS TEXT), concat(title, ' (', CAST(year AS TEXT), ')'), array_to_string(genres, '|')
)) AS line
FROM world_items
ORDER BY item;

CREATE VIEW "ratings.dat" AS
SELECT latin1(concat_ws(
    '::', CAST(user AS TEXT), CAST(item AS TEXT), CAST(rating AS TEXT), CAST(ts AS TEXT)
)) AS line
FROM world_events
ORDER BY user, ts, event;
