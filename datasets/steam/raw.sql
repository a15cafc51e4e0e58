-- Steam's two files: a Python dict literal a line, so `python_to_json` makes JSON of it. It
-- reads literals and runs nothing: a line with any code in it is a bad line.
CREATE VIEW raw_games AS
SELECT
    file,
    line,
    CASE WHEN bad THEN coalesce(error, 'not a Python dict literal') END AS error,
    CASE WHEN bad THEN coalesce(raw, left(text, 1000)) END AS raw,
    json_get_str(json, 'id') AS game_id,
    json_get_str(json, 'title') AS title,
    json_get_str(json, 'app_name') AS app_name,
    json_get_str(json, 'developer') AS developer,
    json_get_str(json, 'publisher') AS publisher,
    json_get_str(json, 'release_date') AS release_date,
    json_get_str(json, 'sentiment') AS sentiment,
    json_get_float(json, 'price') AS price,
    json_get_str(json, 'price') AS price_words,
    -- Labels, separated by bars: none of them holds a quote or a bar of its own.
    replace(array_to_string(json_get_array(json, 'genres'), '|'), '"', '') AS genres,
    replace(array_to_string(json_get_array(json, 'tags'), '|'), '"', '') AS tags,
    replace(array_to_string(json_get_array(json, 'specs'), '|'), '"', '') AS specs
FROM (
    SELECT *, left(json, 1) IS DISTINCT FROM '{' AS bad
    FROM (SELECT *, python_to_json(text) AS json FROM read_lines('steam_games.json'))
);

-- `steam_reviews.json`, or `steam_new.json` as it is called elsewhere.
CREATE VIEW raw_reviews AS
SELECT
    file,
    line,
    CASE WHEN bad THEN coalesce(error, 'not a Python dict literal') END AS error,
    CASE WHEN bad THEN coalesce(raw, left(text, 1000)) END AS raw,
    json_get_str(json, 'username') AS username,
    json_get_str(json, 'product_id') AS game_id,
    parse_time(json_get_str(json, 'date'), '%Y-%m-%d') AS reviewed_at,
    json_get_float(json, 'hours') AS hours,
    json_get_int(json, 'products') AS products,
    json_get_bool(json, 'early_access') AS early_access,
    json_get_str(json, 'text') AS review
FROM (
    SELECT *, left(json, 1) IS DISTINCT FROM '{' AS bad
    FROM (SELECT *, python_to_json(text) AS json FROM read_lines('steam_[rn]e*.json'))
);
