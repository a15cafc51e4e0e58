"""KuaiRec's views by DuckDB: the peer of `usermirror ingest kuairec2`.

Reads big_matrix.csv, rejects rows of unknown users and videos or without a time, derives the
same columns and writes them sorted to Parquet, within the same memory. It accounts for nothing,
keeps no bad line and makes no other table.

    python duckdb_part.py RAW_FOLDER MEMORY_MIB OUTPUT
"""

import sys

import duckdb

folder, memory, output = sys.argv[1:]
db = duckdb.connect()
db.execute(f"SET threads = 2; SET memory_limit = '{memory}MiB'; SET temp_directory = '{output}.tmp'")
db.execute("SET preserve_insertion_order = true")


def rows(name, options=""):
    """A raw file, bad lines left out."""
    return f"read_csv('{folder}/{name}', header=true, ignore_errors=true{options})"


views = rows(
    "big_matrix.csv",
    ", columns={'user_id': 'BIGINT', 'video_id': 'BIGINT', 'play_duration': 'DOUBLE',"
    " 'video_duration': 'DOUBLE', 'time': 'VARCHAR', 'date': 'VARCHAR', 'timestamp': 'DOUBLE',"
    " 'watch_ratio': 'DOUBLE'}",
)
db.execute(f"""
COPY (
    SELECT
        r.user_id::VARCHAR AS user_id,
        r.video_id::VARCHAR AS item_id,
        make_timestamp((r.timestamp * 1000000)::BIGINT) AS ts,
        r.row,
        r.play_duration / 1000 AS watched_seconds,
        coalesce(r.watch_ratio, r.play_duration / r.video_duration) >= 1
            AND r.play_duration >= least(3000, r.video_duration) AS complete
    FROM (SELECT *, row_number() OVER () AS row FROM {views}) AS r
    JOIN (SELECT DISTINCT user_id FROM {rows("user_features.csv")}) AS u ON u.user_id = r.user_id
    JOIN (SELECT DISTINCT video_id FROM {rows("item_categories.csv")}) AS v ON v.video_id = r.video_id
    WHERE r.timestamp BETWEEN 1293840000 AND 4102444800
    ORDER BY user_id, ts, row
) TO '{output}' (FORMAT parquet, COMPRESSION zstd)
""")
print(db.execute(f"SELECT count(*) FROM '{output}'").fetchall())
