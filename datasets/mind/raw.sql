-- MIND's two kinds of file, in the folders of the train and validation sets: fields separated
-- by tabs, no header, no quoting. Candidates are written `N123-1`, clicked, or `N123-0`, not.
CREATE VIEW raw_behaviors AS
SELECT
    file,
    line,
    error,
    raw,
    user_id,
    parse_time(time, '%m/%d/%Y %I:%M:%S %p') AS ts,
    string_to_array(history, ' ') AS history,
    string_to_array(regexp_replace(candidates, '-[01]\b', '', 'g'), ' ') AS candidates,
    regexp_match(candidates, '(\S+)-1\b')[1] AS clicked,
    regexp_count(candidates, '-1\b') AS clicks
FROM read_delimited(
    '**/behaviors.tsv', E'\t',
    'impression_id BIGINT, user_id TEXT, time TEXT, history TEXT, candidates TEXT'
);

CREATE VIEW raw_news AS
SELECT file, line, error, raw, news_id, category, subcategory, title
FROM read_delimited(
    '**/news.tsv', E'\t',
    'news_id TEXT, category TEXT, subcategory TEXT, title TEXT, abstract TEXT, url TEXT,
     title_entities TEXT, abstract_entities TEXT'
);
