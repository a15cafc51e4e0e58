-- The scenarios that a run goes on from stand once each, and their truth is an option.
SELECT scenario_id, count(*) AS times, max(truth) AS truth, max(choice_count) AS choice_count
FROM scenarios
GROUP BY scenario_id
HAVING count(*) > 1
    OR coalesce(max(letter_index(truth)), 27) > max(choice_count);
