"""The relational part of scenario building, by DuckDB: the peer of `run --until scenarios`.

Reads the raw MovieLens files, orders each user's events, takes the last h events before each of N
sampled ones, and removes what the user had seen from 32 random candidates a scenario. It computes
no factors, no content vectors and no text.

    python duckdb_part.py RAW_FOLDER SCENARIOS
"""

import sys

import duckdb

folder, scenarios = sys.argv[1], int(sys.argv[2])
db = duckdb.connect()
db.execute("SET threads = 2")
read = "read_csv('{}/{}', delim='\x01', header=false, columns={{'line': 'VARCHAR'}}, quote='', escape='')"


def source(name):
    """The file or its gzipped form."""
    import os

    plain = os.path.join(folder, name)
    return name if os.path.exists(plain) else name + ".gz"


db.execute(f"""
CREATE TABLE ratings AS
SELECT split_part(line, '::', 1)::INT AS u, split_part(line, '::', 2)::INT AS i,
       split_part(line, '::', 3)::INT AS rating, split_part(line, '::', 4)::BIGINT AS ts,
       row_number() OVER () AS row
FROM {read.format(folder, source('ratings.dat'))}
""")
db.execute("CREATE TABLE items AS SELECT i, count(*) AS popularity FROM ratings GROUP BY i")
db.execute("""
CREATE TABLE events AS
SELECT *, row_number() OVER (PARTITION BY u ORDER BY ts, row) AS position,
       rank() OVER (PARTITION BY u ORDER BY ts) - 1 AS earlier
FROM ratings
""")
db.execute(f"""
CREATE TABLE sampled AS
SELECT row_number() OVER () AS s, * FROM (
    SELECT * FROM events WHERE earlier >= 3 ORDER BY hash(u, row) LIMIT {scenarios}
)
""")
db.execute("""
CREATE TABLE history AS
SELECT s.s, e.position, e.i, e.rating, e.ts
FROM (SELECT s, u, unnest(range(greatest(1, earlier - 9), earlier + 1)) AS position FROM sampled) AS s
JOIN events AS e ON e.u = s.u AND e.position = s.position
""")
count = db.execute("SELECT count(*) FROM items").fetchone()[0]
db.execute(f"""
CREATE TABLE candidates AS
SELECT c.s, c.i
FROM (
    SELECT s.s, s.u, s.earlier, i.i
    FROM (
        SELECT s, u, earlier, hash(s, draw) % {count} AS k
        FROM (SELECT s, u, earlier, unnest(range(40)) AS draw FROM sampled)
    ) AS s
    JOIN (SELECT i, row_number() OVER (ORDER BY i) - 1 AS k FROM items) AS i
        ON i.k = s.k
) AS c
ANTI JOIN events AS e ON e.u = c.u AND e.i = c.i AND e.position <= c.earlier
""")
print(db.execute("SELECT (SELECT count(*) FROM history), (SELECT count(*) FROM candidates)").fetchall())
