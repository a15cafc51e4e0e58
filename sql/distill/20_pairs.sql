-- Every pair that could be learned from. chosen: the accepted strong decision of lowest
-- entropy. rejected: the decision of lowest entropy, of either model, whose behavior is
-- not the truth. Ties go to the strong model, then to the lower draw.
CREATE OR REPLACE VIEW pairs AS
WITH chosen AS (
    SELECT scenario_id, draw, entropy
    FROM scores
    WHERE accepted AND source = 'strong'
    QUALIFY row_number() OVER (PARTITION BY scenario_id ORDER BY entropy, draw) = 1
),
rejected AS (
    SELECT scenario_id, source, draw, behavior, entropy
    FROM scores
    WHERE NOT accepted
    QUALIFY row_number() OVER (PARTITION BY scenario_id ORDER BY entropy, source, draw) = 1
)
SELECT
    c.scenario_id,
    c.draw AS chosen_draw,
    c.entropy AS chosen_entropy,
    r.source AS rejected_source,
    r.draw AS rejected_draw,
    r.behavior AS rejected_behavior,
    r.entropy AS rejected_entropy
FROM chosen AS c
JOIN rejected AS r ON r.scenario_id = c.scenario_id;

-- What a selection strategy chooses among: the training scenarios with a pair, and
-- their measures. Strata are datasets by number of choices.
CREATE OR REPLACE VIEW selectable AS
SELECT s.dataset, s.choice_count, u.*
FROM uncertainty AS u
JOIN pairs AS p ON p.scenario_id = u.scenario_id
JOIN scenarios AS s ON s.scenario_id = u.scenario_id
WHERE s.split = 'train';
