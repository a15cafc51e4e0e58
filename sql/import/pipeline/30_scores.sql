-- Published letter probabilities as our scores. Letters that a file leaves out have
-- probability 0; letters that together miss the mass @letter_mass, or stand outside the
-- exposure, make the row an error. `behavior` is our own keyed draw: the files hold none.
WITH listed AS (
    SELECT
        d.scenario_id,
        d.source,
        d.draw,
        d.error,
        letter(s.position) AS truth,
        s.choice_count,
        p.choice,
        array_slice(make_array(
            coalesce(json_get_float(p.choice, 'A'), 0), coalesce(json_get_float(p.choice, 'B'), 0),
            coalesce(json_get_float(p.choice, 'C'), 0), coalesce(json_get_float(p.choice, 'D'), 0),
            coalesce(json_get_float(p.choice, 'E'), 0), coalesce(json_get_float(p.choice, 'F'), 0),
            coalesce(json_get_float(p.choice, 'G'), 0), coalesce(json_get_float(p.choice, 'H'), 0),
            coalesce(json_get_float(p.choice, 'I'), 0), coalesce(json_get_float(p.choice, 'J'), 0),
            coalesce(json_get_float(p.choice, 'K'), 0), coalesce(json_get_float(p.choice, 'L'), 0),
            coalesce(json_get_float(p.choice, 'M'), 0), coalesce(json_get_float(p.choice, 'N'), 0),
            coalesce(json_get_float(p.choice, 'O'), 0), coalesce(json_get_float(p.choice, 'P'), 0),
            coalesce(json_get_float(p.choice, 'Q'), 0), coalesce(json_get_float(p.choice, 'R'), 0),
            coalesce(json_get_float(p.choice, 'S'), 0), coalesce(json_get_float(p.choice, 'T'), 0),
            coalesce(json_get_float(p.choice, 'U'), 0), coalesce(json_get_float(p.choice, 'V'), 0),
            coalesce(json_get_float(p.choice, 'W'), 0), coalesce(json_get_float(p.choice, 'X'), 0),
            coalesce(json_get_float(p.choice, 'Y'), 0), coalesce(json_get_float(p.choice, 'Z'), 0)
        ), 1, s.choice_count) AS probs,
        array_except(
            json_object_keys(p.choice),
            array_slice(string_to_array('A,B,C,D,E,F,G,H,I,J,K,L,M,N,O,P,Q,R,S,T,U,V,W,X,Y,Z', ','), 1, s.choice_count)
        ) AS strangers
    FROM decisions AS d
    JOIN scenes AS s ON s.scenario_id = d.scenario_id
    JOIN (SELECT DISTINCT kind, name FROM probability_lines) AS f ON f.kind = d.source AND f.name = s.name
    LEFT JOIN predicted AS p
        ON p.source = d.source AND p.name = s.name AND p.line = s.line AND p.draw = d.draw
),
judged AS (
    SELECT
        *,
        CASE
            WHEN error IS NOT NULL THEN error
            WHEN choice IS NULL THEN 'the probability file has nothing on this decision'
            WHEN cardinality(strangers) > 0
                THEN concat('probability of ', left(one_line(strangers[1]), 20), ', which is none of the ', choice_count, ' options')
            WHEN array_min(probs) < 0 THEN 'a probability is negative'
            WHEN abs(array_sum(probs) - 1) > 1 - @letter_mass
                THEN concat('the letters'' probabilities add up to ', round(array_sum(probs), 4))
        END AS fault
    FROM listed
),
drawn AS (
    SELECT
        *,
        CASE WHEN fault IS NULL THEN
            letter(draw_index(probs, @seed, 'behavior', scenario_id, source, draw))
        END AS behavior
    FROM judged
)
SELECT
    scenario_id,
    source,
    draw,
    CASE WHEN fault IS NULL THEN probs END AS probs,
    CAST(NULL AS TEXT) AS probs_by,
    CASE WHEN fault IS NULL THEN entropy(probs) END AS entropy,
    behavior,
    behavior = truth AS accepted,
    CAST(NULL AS TEXT) AS model,
    fault AS error,
    md5(array_to_string(probs, ',')) AS fingerprint
FROM drawn
ORDER BY scenario_id, source, draw;
