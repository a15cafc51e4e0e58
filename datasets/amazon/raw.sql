-- A category's reviews and its items' metadata, a JSON object a line.
CREATE VIEW raw_reviews AS
SELECT
    file,
    line,
    CASE WHEN bad THEN coalesce(error, 'not a JSON object') END AS error,
    CASE WHEN bad THEN coalesce(raw, left(text, 1000)) END AS raw,
    json_get_str(text, 'user_id') AS user_id,
    json_get_str(text, 'parent_asin') AS item_id,
    json_get_int(text, 'timestamp') AS milliseconds,
    json_get_float(text, 'rating') AS rating,
    json_get_str(text, 'title') AS summary,
    json_get_str(text, 'text') AS review
FROM (
    SELECT *, json_kind(text) IS DISTINCT FROM 'object' AS bad
    FROM read_lines('{variant}.jsonl')
);

CREATE VIEW raw_items AS
SELECT
    file,
    line,
    CASE WHEN bad THEN coalesce(error, 'not a JSON object') END AS error,
    CASE WHEN bad THEN coalesce(raw, left(text, 1000)) END AS raw,
    json_get_str(text, 'parent_asin') AS item_id,
    json_get_str(text, 'title') AS title,
    json_get_str(text, 'main_category') AS main_category,
    -- The path as one text: between two names stands a character that JSON strings escape.
    json_as_text(replace(
        array_to_string(json_get_array(text, 'categories'), chr(31)), concat('"', chr(31), '"'), ' > '
    )) AS category,
    json_get_str(text, 'store') AS store,
    json_as_text(text, 'price') AS price,
    json_get_float(text, 'average_rating') AS average_rating,
    json_get_int(text, 'rating_number') AS rating_number,
    json_length(text, 'details') AS details
FROM (
    SELECT *, json_kind(text) IS DISTINCT FROM 'object' AS bad
    FROM read_lines('meta_{variant}.jsonl')
);
