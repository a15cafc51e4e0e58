-- Every scene can be taken. Decisions and probabilities are joined to the scene file by
-- its rows, so none may be left out; mend the file.
SELECT file, line, quarantined AS reason
FROM scenes
WHERE quarantined IS NOT NULL
ORDER BY file, line;
