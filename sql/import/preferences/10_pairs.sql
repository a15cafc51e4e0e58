-- Published preference pairs: two conversations that differ in their last message. Ids,
-- impression_list and item_pos may be missing; the messages then say what they can.
CREATE OR REPLACE TABLE said AS
SELECT
    file,
    line,
    side,
    place,
    last,
    json_as_text(message, 'role') AS role,
    json_as_text(message, 'content') AS content
FROM (
    SELECT file, line, side, last, unnest(messages) AS message, unnest(generate_series(1, last)) AS place
    FROM (
        SELECT
            file,
            line,
            'chosen' AS side,
            json_get_array(json, 'messages_chosen') AS messages,
            CAST(json_length(json, 'messages_chosen') AS BIGINT) AS last
        FROM lines
        UNION ALL
        SELECT
            file,
            line,
            'rejected',
            json_get_array(json, 'messages_rejected'),
            CAST(json_length(json, 'messages_rejected') AS BIGINT)
        FROM lines
    )
);

CREATE OR REPLACE VIEW conversations AS
SELECT
    file,
    line,
    side,
    array_agg(named_struct('role', role, 'content', content) ORDER BY place) FILTER (WHERE place < last) AS prompt,
    string_agg(content, chr(10) ORDER BY place) FILTER (WHERE place < last AND role = 'user') AS question,
    max(content) FILTER (WHERE place = last AND role = 'assistant') AS answer
FROM said
GROUP BY file, line, side;

CREATE OR REPLACE TABLE pairs AS
WITH sides AS (
    SELECT
        k.*,
        c.prompt,
        c.question,
        r.prompt AS rejected_prompt,
        c.answer AS chosen,
        r.answer AS rejected,
        regexp_match(c.answer, 'Behavior: \[([A-Z])\]\s*$')[1] AS chosen_behavior,
        regexp_match(r.answer, 'Behavior: \[([A-Z])\]\s*$')[1] AS rejected_behavior,
        -- Headings of any level, as `sql/scenarios` or the published pipeline write them.
        regexp_match(
            c.question,
            '(?s)^(?:#+ [^\n]*Profile\n(.*?)\n\n)?#+ History\n(.*?)\n\n#+ Exposure[^\n]*\n(.*?)\s*$'
        ) AS parts
    FROM keyed AS k
    LEFT JOIN conversations AS c ON c.file = k.file AND c.line = k.line AND c.side = 'chosen'
    LEFT JOIN conversations AS r ON r.file = k.file AND r.line = k.line AND r.side = 'rejected'
),
counted AS (
    SELECT
        * EXCEPT (scenario_id),
        coalesce(
            scenario_id,
            lpad(to_hex(stable_hash(0, 'published', kind, dataset, question)), 16, '0')
        ) AS scenario_id,
        coalesce(
            CAST(cardinality(exposure) AS BIGINT),
            nullif(regexp_count(parts[3], '^\[[A-Z]\] ', 1, 'm'), 0)
        ) AS choice_count
    FROM sides
),
judged AS (
    SELECT
        *,
        CASE
            WHEN error IS NOT NULL THEN error
            WHEN json_length(json) IS NULL THEN 'not a JSON object'
            WHEN coalesce(dataset, '') = '' THEN 'no dataset'
            WHEN timestamp IS NOT NULL AND ts IS NULL THEN 'timestamp is not a time'
            WHEN chosen IS NULL THEN 'messages_chosen does not end in a message of the assistant'
            WHEN rejected IS NULL THEN 'messages_rejected does not end in a message of the assistant'
            WHEN coalesce(question, '') = ''
                THEN 'no message of a user before the answer (a publisher may withhold the prompts of a dataset)'
            WHEN prompt IS DISTINCT FROM rejected_prompt
                THEN 'messages_chosen and messages_rejected have different prompts'
            WHEN chosen_behavior IS NULL THEN 'messages_chosen does not end in Behavior: [LETTER]'
            WHEN rejected_behavior IS NULL THEN 'messages_rejected does not end in Behavior: [LETTER]'
            WHEN choice_count IS NULL THEN 'neither impression_list nor lines [A], [B], … of the prompt tell the options'
            WHEN choice_count NOT BETWEEN 2 AND 26 THEN 'there are not 2 to 26 options'
            WHEN position NOT BETWEEN 1 AND choice_count THEN 'item_pos (from 0) is outside the options'
            WHEN exposure IS NOT NULL AND position IS NOT NULL AND exposure[position] IS DISTINCT FROM item_id
                THEN 'impression_list does not have item_id at item_pos'
            WHEN position <> letter_index(chosen_behavior)
                THEN 'messages_chosen does not end in the letter of item_pos'
            WHEN greatest(letter_index(chosen_behavior), letter_index(rejected_behavior)) > choice_count
                THEN 'a behavior is outside the options'
            WHEN chosen_behavior = rejected_behavior
                THEN 'chosen and rejected end in the same behavior'
        END AS fault
    FROM counted
)
SELECT
    * EXCEPT (json, rejected_prompt),
    left(json, 1000) AS raw,
    CASE
        WHEN fault IS NOT NULL THEN fault
        WHEN row_number() OVER (PARTITION BY scenario_id, fault IS NULL ORDER BY file, line) > 1
            THEN 'an earlier row has a pair of the same scenario'
    END AS quarantined,
    CAST(NULL AS TEXT) AS filtered
FROM judged;
