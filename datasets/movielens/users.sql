-- Users with their profile in words. Codes as in the dataset's README; an unknown code
-- leaves the field empty rather than inventing a value.
CREATE VIEW users AS
SELECT
    CAST(user_id AS TEXT) AS user_id,
    CASE gender WHEN 'F' THEN 'female' WHEN 'M' THEN 'male' END AS gender,
    CASE age
        WHEN 1 THEN 'under 18'
        WHEN 18 THEN '18-24'
        WHEN 25 THEN '25-34'
        WHEN 35 THEN '35-44'
        WHEN 45 THEN '45-49'
        WHEN 50 THEN '50-55'
        WHEN 56 THEN '56+'
    END AS age,
    make_array(
        'other', 'academic/educator', 'artist', 'clerical/admin', 'college/grad student',
        'customer service', 'doctor/health care', 'executive/managerial', 'farmer',
        'homemaker', 'K-12 student', 'lawyer', 'programmer', 'retired', 'sales/marketing',
        'scientist', 'self-employed', 'technician/engineer', 'tradesman/craftsman',
        'unemployed', 'writer'
    )[occupation + 1] AS occupation,
    zip,
    file,
    line,
    CASE WHEN copy > 1 THEN 'user stands twice' END AS quarantined,
    CAST(NULL AS TEXT) AS filtered
FROM (SELECT *, row_number() OVER (PARTITION BY user_id ORDER BY line) AS copy FROM raw_users);
