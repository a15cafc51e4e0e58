-- Instruction-following difficulty of the chosen answer, as the weak model finds it:
--   ifd = PPL(answer | prompt) / PPL(answer)
-- the perplexity of the answer after its prompt, over that without any. The answer is the
-- one that `sql/distill/20_pairs.sql` chooses. Only training scenarios are asked; the others,
-- and those without a chosen decision, have no ifd.
--
-- output: ifd
-- inputs: scores, decisions, scenarios
-- key: scenario_id
-- models: weak
WITH chosen AS (
    SELECT scenario_id, draw
    FROM scores
    WHERE accepted AND source = 'strong'
    QUALIFY row_number() OVER (PARTITION BY scenario_id ORDER BY entropy, draw) = 1
),
answers AS (
    SELECT
        s.scenario_id,
        s.messages,
        concat(d.text, chr(10), 'Behavior: [', s.truth, ']') AS answer
    FROM chosen AS c
    JOIN scenarios AS s ON s.scenario_id = c.scenario_id AND s.split = 'train'
    JOIN decisions AS d
        ON d.scenario_id = c.scenario_id AND d.source = 'strong' AND d.draw = c.draw
),
measured AS (
    SELECT
        scenario_id,
        perplexity('weak', messages, answer) AS given,
        perplexity('weak', array_slice(messages, 1, 0), answer) AS alone
    FROM answers
)
SELECT
    u.scenario_id,
    m.given['perplexity'] AS perplexity_given_prompt,
    m.alone['perplexity'] AS perplexity_alone,
    m.given['perplexity'] / m.alone['perplexity'] AS ifd,
    coalesce(m.given['error'], m.alone['error']) AS error
FROM (SELECT DISTINCT scenario_id FROM scores) AS u
LEFT JOIN measured AS m ON m.scenario_id = u.scenario_id
ORDER BY u.scenario_id;
