-- Three preference pairs, those with the largest epistemic gap. What a pair without decisions
-- lacks is left out.
SELECT
    concat(
        '--- scenario ', scenario_id, ' (', dataset, ')', ', gap ' || CAST(round(delta_eu, 2) AS TEXT) || ' bits', chr(10),
        prompt[2]['content'], chr(10),
        '--- chosen', chr(10), chosen, chr(10),
        '--- rejected', ' (' || rejected_source || ')', chr(10), rejected, chr(10)
    ) AS example
FROM preferences
ORDER BY delta_eu DESC NULLS LAST, scenario_id
LIMIT 3;
