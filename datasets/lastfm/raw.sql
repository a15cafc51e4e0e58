-- HetRec 2011 Last.fm-2k: fields separated by tabs, a header, no quoting. Line ends and
-- encodings differ from file to file.
CREATE VIEW raw_artists AS
SELECT * FROM read_delimited(
    'artists.dat', E'\t',
    'artist_id BIGINT, name TEXT, url TEXT, picture TEXT',
    'utf8', 'header'
);

CREATE VIEW raw_tags AS
SELECT * FROM read_delimited(
    'tags.dat', E'\t',
    'tag_id BIGINT, tag TEXT',
    'latin1', 'header'
);

CREATE VIEW raw_listens AS
SELECT * FROM read_delimited(
    'user_artists.dat', E'\t',
    'user_id BIGINT, artist_id BIGINT, plays BIGINT',
    'utf8', 'header'
);

CREATE VIEW raw_friends AS
SELECT * FROM read_delimited(
    'user_friends.dat', E'\t',
    'user_id BIGINT, friend_id BIGINT',
    'utf8', 'header'
);

CREATE VIEW raw_taggings AS
SELECT * FROM read_delimited(
    'user_taggedartists-timestamps.dat', E'\t',
    'user_id BIGINT, artist_id BIGINT, tag_id BIGINT, milliseconds BIGINT',
    'utf8', 'header'
);
