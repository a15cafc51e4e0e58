-- The demo world in the raw format of Amazon Reviews 2023: films sold as a category's items.
CREATE VIEW "meta_{variant}.jsonl" AS
SELECT CAST(concat(
    '{"main_category": "', genres[1],
    '", "title": "', title, CASE WHEN item % 25 = 0 THEN ' &amp; \"More\"' END,
    '", "average_rating": ', CAST(round(least(5, greatest(1, 3.6 + quality / 2)), 1) AS TEXT),
    ', "rating_number": ',
    CAST(CAST(power(10, 0.9 + 3 * uniform(@seed, 'ratings', item)) AS BIGINT) AS TEXT),
    ', "features": [], "description": [], "price": ',
    CASE draw_int(1, 8, @seed, 'price', item)
        WHEN 1 THEN 'null'
        WHEN 2 THEN '"from 14.99"'
        WHEN 3 THEN '"$1,299.00"'
        WHEN 4 THEN '"—"'
        ELSE concat(CAST(draw_int(3, 40, @seed, 'dollars', item) AS TEXT), '.99')
    END,
    ', "images": [], "videos": [], "store": ', CASE WHEN item % 9 = 0 THEN 'null' ELSE '"Demo Films"' END,
    ', "categories": [', CASE WHEN item % 5 <> 0 THEN concat('"', array_to_string(genres, '", "'), '"') END,
    '], "details": {"Release Year": "', CAST(year AS TEXT), '"',
    CASE WHEN item % 30 <> 0 THEN ', "Format": "Disc"' END,
    '}, "parent_asin": "B', lpad(CAST(item AS TEXT), 9, '0'), '", "bought_together": null}',
    -- Something after the object: a bad line.
    CASE WHEN item % 200 = 0 THEN ',' END
) AS BYTEA) AS line
FROM world_items
ORDER BY item;

-- The world's first year, 1999, becomes 2021.
CREATE VIEW reviews AS
SELECT
    user,
    ts,
    event,
    CAST(CASE WHEN event % 900 = 4 THEN 0 ELSE (ts + 694310400) * 1000 + event % 1000 END AS TEXT) AS time,
    CASE WHEN event % 700 = 3 THEN '0.0' ELSE concat(CAST(rating AS TEXT), '.0') END AS stars,
    make_array('One Star', 'Meh', 'It is &#34;ok&#34;', 'Good', 'Five Stars')[rating] AS title,
    CASE event % 4
        WHEN 0 THEN ''
        WHEN 1 THEN make_array('Not for me.', 'Too long.', 'Fine once.', 'Well made.', 'A \"gem\"!')[rating]
        WHEN 2 THEN concat(make_array('Bad', 'Dull', 'So so', 'Nice', 'Great')[rating], '<br />film.')
        ELSE concat(make_array('No', 'Hm', 'Okay', 'Yes', 'Wow')[rating], '\u2026\n')
    END AS text,
    concat('B', lpad(CAST(CASE WHEN event % 800 = 5 THEN 900000 ELSE item END AS TEXT), 9, '0')) AS asin
FROM world_events;

CREATE VIEW "{variant}.jsonl" AS
SELECT CAST(CASE
    WHEN event % 1000 = 1 THEN left(line, 60)
    -- A review that stands twice.
    WHEN event % 500 = 2 THEN concat(line, chr(10), line)
    ELSE line
END AS BYTEA) AS line
FROM (
    SELECT
        user,
        ts,
        event,
        concat(
            '{"rating": ', stars, ', "title": "', title, '", "text": "', text,
            '", "images": [], "asin": "', asin, '", "parent_asin": "', asin,
            '", "user_id": "AE', lpad(CAST(user AS TEXT), 26, '0'), '", "timestamp": ', time,
            ', "helpful_vote": ', CAST(event % 3 AS TEXT), ', "verified_purchase": true}'
        ) AS line
    FROM reviews
)
ORDER BY user, ts, event;
