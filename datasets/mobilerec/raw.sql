-- MobileRec's two files: commas, quotes and a header, UTF-8; reviews and descriptions run over
-- lines. Columns not named here are not read.
CREATE VIEW raw_apps AS
SELECT * FROM read_csv(
    '**/app_meta.csv',
    'app_package TEXT, app_name TEXT, developer_name TEXT, app_category TEXT, description TEXT, num_reviews TEXT, price TEXT, avg_rating TEXT'
);

CREATE VIEW raw_reviews AS
SELECT * FROM read_csv(
    '**/mobilerec_final.csv',
    'app_package TEXT, review TEXT, rating DOUBLE, uid TEXT, unix_timestamp DOUBLE'
);
