-- The decision files of the published pipeline: a row is a model's answers to one scene.
-- Its `custom_id` is DATASET-N, where N counts the rows of the scene file from 0.
CREATE OR REPLACE TABLE batches AS
SELECT
    kind AS source,
    name,
    file,
    line,
    json,
    json_as_text(json, 'custom_id') AS custom_id,
    TRY_CAST(regexp_match(json_as_text(json, 'custom_id'), '-([0-9]{1,9})$')[1] AS BIGINT) + 1 AS scene_line,
    json_as_text(json, 'response', 'body', 'model') AS model,
    json_as_text(json, 'error') AS failure
FROM decision_lines;

-- An answer a row. As in the published code, the decision is what stands before the
-- first `Behavior:`.
CREATE OR REPLACE TABLE answers AS
SELECT
    source,
    name,
    scene_line,
    CAST(place - 1 AS INT) AS draw,
    regexp_replace(split_part(content, 'Behavior:', 1), '^\s+|\s+$', '', 'g') AS text,
    regexp_match(content, 'Behavior:\s*\[?([A-Z])\b')[1] AS letter,
    CASE
        WHEN content LIKE '%Behavior:%' THEN 'behavior'
        WHEN finish_reason = 'length' THEN 'length'
        ELSE 'end_of_turn'
    END AS finish
FROM (
    SELECT
        source,
        name,
        scene_line,
        place,
        json_as_text(answer, 'message', 'content') AS content,
        json_as_text(answer, 'finish_reason') AS finish_reason
    FROM (
        SELECT
            source,
            name,
            scene_line,
            unnest(json_get_array(json, 'response', 'body', 'choices')) AS answer,
            unnest(generate_series(1, CAST(json_length(json, 'response', 'body', 'choices') AS BIGINT))) AS place
        FROM batches
    )
)
WHERE content IS NOT NULL;

-- The probability files: row N belongs to row N of the scene file, and its lists have
-- an entry a decision. A choice is an object of letters and their probabilities.
CREATE OR REPLACE TABLE predicted AS
SELECT source, name, file, line, CAST(place - 1 AS INT) AS draw, json_as_text(text) AS text, choice
FROM (
    SELECT
        kind AS source,
        name,
        file,
        line,
        unnest(json_get_array(json, 'decision_list')) AS text,
        unnest(json_get_array(json, 'choice')) AS choice,
        unnest(generate_series(1, greatest(
            CAST(json_length(json, 'decision_list') AS BIGINT),
            coalesce(CAST(json_length(json, 'choice') AS BIGINT), 0)
        ))) AS place
    FROM probability_lines
);
