-- Published scenes, as in evaluation sets and in the scene files of the published
-- pipeline: choices that someone else rendered. Options become one line each.
CREATE OR REPLACE TABLE scenes AS
WITH entries AS (
    SELECT file, line, place, one_line(json_as_text(entry)) AS entry
    FROM (
        SELECT
            file,
            line,
            unnest(json_get_array(json, 'text', 'action_list')) AS entry,
            unnest(generate_series(1, CAST(json_length(json, 'text', 'action_list') AS BIGINT))) AS place
        FROM lines
    )
),
shown AS (
    SELECT
        file,
        line,
        count(*) AS choice_count,
        bool_or(coalesce(entry, '') = '') AS incomplete,
        string_agg('[' || CASE WHEN place <= 26 THEN letter(place) END || '] ' || entry, chr(10) ORDER BY place) AS options
    FROM entries
    GROUP BY file, line
),
judged AS (
    SELECT
        k.*,
        s.choice_count,
        regexp_replace(json_as_text(k.json, 'text', 'profile'), '\s+$', '') AS profile,
        regexp_replace(json_as_text(k.json, 'text', 'history'), '\s+$', '') AS history,
        s.options,
        CASE
            WHEN k.error IS NOT NULL THEN k.error
            WHEN json_length(k.json) IS NULL THEN 'not a JSON object'
            WHEN coalesce(k.dataset, '') = '' THEN 'no dataset'
            WHEN coalesce(k.user_id, '') = '' THEN 'no user_id'
            WHEN coalesce(k.item_id, '') = '' THEN 'no item_id'
            WHEN k.timestamp IS NULL THEN 'no timestamp'
            WHEN k.ts IS NULL THEN 'timestamp is not a time'
            WHEN s.choice_count IS NULL THEN 'no text.action_list (a publisher may withhold the texts of a dataset)'
            WHEN s.choice_count NOT BETWEEN 2 AND 26 THEN 'text.action_list has not 2 to 26 entries'
            WHEN s.incomplete THEN 'an entry of text.action_list is empty'
            WHEN json_get_int(k.json, 'choice_cnt') <> s.choice_count
                THEN 'choice_cnt is not the number of entries of text.action_list'
            WHEN k.position IS NULL THEN 'no item_pos'
            WHEN k.position NOT BETWEEN 1 AND s.choice_count
                THEN 'item_pos (from 0) is outside text.action_list'
            WHEN cardinality(k.exposure) <> s.choice_count
                THEN 'impression_list is not as long as text.action_list'
            WHEN k.exposure IS NOT NULL AND k.exposure[k.position] IS DISTINCT FROM k.item_id
                THEN 'impression_list does not have item_id at item_pos'
        END AS fault
    FROM keyed AS k
    LEFT JOIN shown AS s ON s.file = k.file AND s.line = k.line
)
SELECT
    * EXCEPT (json),
    left(json, 1000) AS raw,
    CASE
        WHEN fault IS NOT NULL THEN fault
        WHEN row_number() OVER (PARTITION BY scenario_id, fault IS NULL ORDER BY file, line) > 1
            THEN 'an earlier row has the same dataset, user_id, item_id and timestamp'
    END AS quarantined,
    CAST(NULL AS TEXT) AS filtered
FROM judged;

-- Where a file does not say what else was shown, only the chosen item's id is known.
CREATE OR REPLACE VIEW rendered AS
SELECT
    scenario_id,
    dataset,
    kind AS split,
    user_id,
    item_id,
    ts,
    CAST(NULL AS BIGINT) AS row,
    coalesce(exposure, array_concat(
        array_repeat(CAST(NULL AS TEXT), position - 1),
        make_array(item_id),
        array_repeat(CAST(NULL AS TEXT), choice_count - position)
    )) AS exposure,
    letter(position) AS truth,
    choice_count,
    profile,
    history,
    options
FROM scenes
WHERE quarantined IS NULL;
