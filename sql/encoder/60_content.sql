-- The vectors of the items' texts by the job's encoder, in place of word weights. A text's
-- vector follows from the text alone and knows nothing of the log, so one set serves every
-- window. Empty, like the factors, where the log tells what was shown.
--
-- models: encoder
CREATE OR REPLACE TABLE content AS
SELECT
    dense_rows(
        item_index,
        embed('encoder', text),
        (SELECT count(*) FROM catalog)
    ) AS by_window
FROM catalog
WHERE (SELECT count(impressions) FROM interactions) = 0;
