-- Why a scenario gave no pair: the first of the rules of `sql/distill` that it fails.
--
-- inputs: public.scenarios, public.scores, public.preferences
WITH judged AS (
    SELECT
        scenario_id,
        count(*) FILTER (WHERE error IS NULL AND source = 'strong') AS strong,
        count(*) FILTER (WHERE error IS NULL AND source = 'weak') AS weak,
        coalesce(bool_or(accepted), false) AS explained,
        coalesce(bool_or(accepted AND source = 'strong'), false) AS chosen,
        coalesce(bool_or(NOT accepted), false) AS rejected
    FROM public.scores
    GROUP BY scenario_id
)
SELECT
    CAST('pair' AS TEXT) AS stage,
    CAST(NULL AS TEXT) AS source,
    CAST(NULL AS BIGINT) AS draw,
    CAST('none' AS TEXT) AS name,
    CAST(CASE
        WHEN s.split <> 'train' THEN 'not of the training split'
        WHEN (SELECT count(*) > 0 AND count(chosen_draw) = 0 FROM public.preferences)
            THEN 'pairs are made without decisions, and it was not selected for one'
        WHEN j.scenario_id IS NULL THEN 'no decision is scored yet'
        WHEN j.strong = 0 THEN 'no decision of the strong model could be scored'
        WHEN j.weak = 0 THEN 'no decision of the weak model could be scored'
        WHEN NOT j.explained THEN 'no decision explains it: none was accepted'
        WHEN NOT j.chosen THEN 'no decision of the strong model was accepted'
        WHEN NOT j.rejected THEN 'every decision was accepted, none can be the rejected one'
        ELSE 'its rank is beyond the quota of its stratum, or preferences are older than its scores'
    END AS TEXT) AS value
FROM public.scenarios AS s
LEFT JOIN judged AS j ON j.scenario_id = s.scenario_id
LEFT JOIN public.preferences AS p ON p.scenario_id = s.scenario_id
WHERE s.scenario_id = $scenario_id AND p.scenario_id IS NULL;
