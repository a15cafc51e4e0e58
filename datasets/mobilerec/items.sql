-- Apps. When one came out is not known. A price of `Install` is what the store's button says of
-- an app that costs nothing; of others it says `$1.99 Buy`.
CREATE VIEW items AS
SELECT
    nullif(app_package, '') AS item_id,
    name,
    developer,
    category,
    CASE WHEN price = 'Install' THEN 'free' ELSE nullif(replace(price, ' Buy', ''), '') END AS price,
    CASE WHEN try_cast(avg_rating AS DOUBLE) BETWEEN 1 AND 5 THEN try_cast(avg_rating AS DOUBLE) END AS average_rating,
    try_cast(replace(num_reviews, ',', '') AS BIGINT) AS review_count,
    description,
    concat_ws(' ', name, category, description) AS text,
    file,
    line,
    CASE
        WHEN app_package = '' THEN 'no app package'
        WHEN copy > 1 THEN 'app stands twice'
    END AS quarantined
FROM (
    SELECT
        app_package,
        nullif(one_line(app_name), '') AS name,
        nullif(one_line(developer_name), '') AS developer,
        nullif(one_line(app_category), '') AS category,
        one_line(price) AS price,
        avg_rating,
        num_reviews,
        nullif(one_line(description), '') AS description,
        file,
        line,
        row_number() OVER (PARTITION BY app_package ORDER BY line) AS copy
    FROM raw_apps
);
