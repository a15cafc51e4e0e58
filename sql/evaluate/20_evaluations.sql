-- What model @model answered to every held-out scenario when asked by method @method, one row a
-- draw. `place` is where the letter stood as it was shown; `letter` and `probs` are turned back to
-- the scenario's own order. An answer without a letter of the scenario is no hit.
--
-- output: evaluations
-- rows: model = @model, method = @method
-- inputs: scenarios
-- units: split = eval
-- key: scenario_id
-- models: @model
WITH valid AS (
    SELECT
        * EXCEPT (place),
        CASE WHEN place <= choice_count THEN place END AS place,
        CASE WHEN place <= choice_count THEN letter((place - 1 + rotation) % choice_count + 1) END AS letter
    FROM answered
)
SELECT
    @model AS model,
    model_fingerprint(@model) AS model_fingerprint,
    @method AS method,
    scenario_id,
    CAST(rotation AS INT) AS rotation,
    CAST(draw AS INT) AS draw,
    CAST(place AS INT) AS place,
    letter,
    CASE WHEN error IS NULL THEN coalesce(letter = truth, false) END AS hit,
    array_concat(
        array_slice(probs, choice_count - rotation + 1, choice_count),
        array_slice(probs, 1, choice_count - rotation)
    ) AS probs,
    probs_by,
    CAST(tokens AS INT) AS tokens,
    error
FROM valid
ORDER BY scenario_id, rotation, draw;
