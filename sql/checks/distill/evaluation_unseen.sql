-- No evaluation scenario and no evaluation user is among the preferences.
SELECT p.scenario_id, s.split
FROM preferences AS p
JOIN scenarios AS s ON s.scenario_id = p.scenario_id
WHERE s.split <> 'train';
