//! The table functions as SQL sees them: what comes of a file, byte by byte.

use std::io::Write;

use datafusion::arrow::array::{AsArray, RecordBatch};
use datafusion::arrow::datatypes::Int64Type;
use datafusion::arrow::util::display::{ArrayFormatter, FormatOptions};
use flate2::Compression;
use flate2::write::GzEncoder;

use super::*;

struct Raw {
    root: tempfile::TempDir,
    ctx: SessionContext,
}

impl Raw {
    /// A raw folder with `files`.
    fn new<B: AsRef<[u8]>>(files: &[(&str, B)]) -> Self {
        let root = tempfile::tempdir().unwrap();
        let ctx = SessionContext::new();
        register(&ctx, Arc::new(RawFolder::new(root.path().to_owned())));
        let raw = Self { root, ctx };
        for (name, bytes) in files {
            raw.write(name, bytes.as_ref());
        }
        raw
    }

    fn write(&self, name: &str, bytes: &[u8]) {
        let path = self.root.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, bytes).unwrap();
    }

    async fn batches(&self, sql: &str) -> Vec<RecordBatch> {
        self.ctx.sql(sql).await.unwrap().collect().await.unwrap()
    }

    /// The rows, cells joined by `|`.
    async fn rows(&self, sql: &str) -> Vec<String> {
        let options = FormatOptions::default().with_null("NULL");
        let mut rows = vec![];
        for batch in self.batches(sql).await {
            let columns: Vec<_> = batch
                .columns()
                .iter()
                .map(|column| ArrayFormatter::try_new(column, &options).unwrap())
                .collect();
            for row in 0..batch.num_rows() {
                let cells = columns.iter().map(|column| column.value(row).to_string());
                rows.push(cells.collect::<Vec<_>>().join("|"));
            }
        }
        rows
    }

    async fn error(&self, sql: &str) -> String {
        let error = match self.ctx.sql(sql).await {
            Ok(frame) => frame.collect().await.unwrap_err(),
            Err(error) => error,
        };
        error.strip_backtrace()
    }

    async fn number(&self, sql: &str) -> i64 {
        self.batches(sql).await[0]
            .column(0)
            .as_primitive::<Int64Type>()
            .value(0)
    }
}

const CSV: &str = "SELECT line, a, b, error, raw FROM read_csv('f.csv', 'b TEXT, a BIGINT')";

#[tokio::test]
async fn csv_columns_are_found_by_name_and_others_ignored() {
    let file = "\u{feff}a,skipped,b\n1,x,\"one, two\"\r\n,y,\n3,z,\"\"\"q\"\"\"";
    let raw = Raw::new(&[("f.csv", file)]);
    assert_eq!(
        raw.rows(CSV).await,
        [
            "2|1|one, two|NULL|NULL",
            "3|NULL||NULL|NULL",
            "4|3|\"q\"|NULL|NULL"
        ]
    );
}

#[tokio::test]
async fn csv_records_end_in_newlines_outside_quotes_only() {
    let raw = Raw::new(&[("f.csv", "a,b\n1,bare\rreturn\n2,\"two\r\n\nlines\"\n3,x\n")]);
    assert_eq!(
        raw.rows("SELECT line, a, b FROM read_csv('f.csv', 'a BIGINT, b TEXT')")
            .await,
        ["2|1|bare\rreturn", "3|2|two\r\n\nlines", "6|3|x"]
    );
}

#[tokio::test]
async fn a_bad_csv_record_is_a_row_and_the_next_one_is_read() {
    let file = "a,b\n\
                x,1\n\
                1\n\
                1,2,3\n\
                1,\"a\" b\n\
                \n\
                2,\"several\nlines\",3\n\
                y,\"several\nlines\"\n\
                7,good\n";
    let raw = Raw::new(&[("f.csv", file)]);
    assert_eq!(
        raw.rows(CSV).await,
        [
            "2|NULL|NULL|a: 'x' is not a BIGINT|x,1",
            "3|NULL|NULL|expected 2 fields, found 1|1",
            "4|NULL|NULL|expected 2 fields, found 3|1,2,3",
            "5|NULL|NULL|text after a closing quote|1,\"a\" b",
            "6|NULL|NULL|expected 2 fields, found 1|",
            "7|NULL|NULL|expected 2 fields, found 3|2,\"several",
            "8|NULL|NULL|a: 'lines\"' is not a BIGINT|lines\",3",
            "9|NULL|NULL|a: 'y' is not a BIGINT|y,\"several\nlines\"\n",
            "11|7|good|NULL|NULL",
        ]
    );
}

#[tokio::test]
async fn a_quote_that_is_never_closed_costs_one_line() {
    let file = "a,b\n1,\"open\n2,x\n3,\"quoted, \"\"well\"\"\"\n4,\"open to the end\n5,y\n";
    let raw = Raw::new(&[("f.csv", file)]);
    assert_eq!(
        raw.rows(CSV).await,
        [
            "2|NULL|NULL|a quote is open until line 4: text after a closing quote|1,\"open",
            "3|2|x|NULL|NULL",
            "4|3|quoted, \"well\"|NULL|NULL",
            "5|NULL|NULL|a quote is not closed up to the end of the file|4,\"open to the end",
            "6|5|y|NULL|NULL",
        ]
    );
}

#[tokio::test]
async fn the_search_for_a_closing_quote_is_bounded() {
    let mut file = b"a,b\n1,\"open\n".to_vec();
    for i in 0..20_000 {
        writeln!(file, "{i},x").unwrap();
    }
    file.extend_from_slice(b"2,\"\n");
    let raw = Raw::new(&[("f.csv", file)]);
    let bad = raw
        .rows("SELECT line, error FROM read_csv('f.csv', 'a BIGINT') WHERE error IS NOT NULL")
        .await;
    assert_eq!(
        bad,
        [
            "2|a quote is not closed within 1048576 bytes and 10000 lines",
            "20003|a quote is not closed up to the end of the file"
        ]
    );
}

#[tokio::test]
async fn floods_of_quotes_are_read_in_linear_time_and_accounted_for() {
    const LINES: usize = 300_000;
    let count = "SELECT count(*) FROM read_csv('f.csv', 'a TEXT')";
    for (header, line, rows) in [
        // Each pair of lines is a record: a field that holds a line end.
        ("a", "\"", LINES / 2),
        // Each such record lacks a field, so every line is a bad row.
        ("a,b", "\"", LINES),
        // Each line closes the quote of the one before and opens another.
        ("a,b", "x\",x,\"", LINES),
    ] {
        let mut file = format!("{header}\n");
        file.extend(std::iter::repeat_n(format!("{line}\n"), LINES));
        let raw = Raw::new(&[("f.csv", file)]);
        assert_eq!(raw.number(count).await, rows as i64, "{header} {line}");
    }
}

#[tokio::test]
async fn the_header_must_have_the_columns() {
    let raw = Raw::new(&[
        ("f.csv", "b,c,c\n1,2,3\n"),
        ("empty.csv", ""),
        ("mark.csv", "\u{feff}"),
        ("only.csv", "\u{feff}a,b\n"),
        ("open.csv", "a,\"b\n"),
    ]);
    let error = raw.error(CSV).await;
    assert!(
        error.contains("no column a in the header: b, c, c"),
        "{error}"
    );
    assert!(error.contains("f.csv"), "{error}");
    let error = raw.error("SELECT * FROM read_csv('f.csv', 'c INT')").await;
    assert!(error.contains("the column c twice"), "{error}");
    for file in ["empty.csv", "mark.csv"] {
        let error = raw
            .error(&format!("SELECT * FROM read_csv('{file}', 'a INT')"))
            .await;
        assert!(error.contains("empty; expected a header with a"), "{error}");
    }
    let error = raw
        .error("SELECT * FROM read_csv('open.csv', 'a INT')")
        .await;
    assert!(error.contains("header: a quote is not closed"), "{error}");
    let rows = raw
        .rows("SELECT * FROM read_csv('only.csv', 'a INT')")
        .await;
    assert!(rows.is_empty(), "{rows:?}");
}

#[tokio::test]
async fn hostile_bytes_are_bad_rows_or_text() {
    let file = b"a,b\n1,caf\xe9\n2,\"caf\xe9\n3,nul\0\n4,\"nul\0,\"\n";
    let raw = Raw::new(&[("f.csv", file)]);
    assert_eq!(
        raw.rows("SELECT line, a, b, error FROM read_csv('f.csv', 'a BIGINT, b TEXT')")
            .await,
        [
            "2|NULL|NULL|not valid UTF-8 at byte 6",
            "3|NULL|NULL|not valid UTF-8 at byte 7",
            "4|3|nul\0|NULL",
            "5|4|nul\0,|NULL",
        ]
    );
    assert_eq!(
        raw.rows("SELECT line, b, error FROM read_csv('f.csv', 'b TEXT', 'latin1') LIMIT 1")
            .await,
        ["2|café|NULL"]
    );
}

#[tokio::test]
async fn a_cut_gzip_ends_in_a_bad_row() {
    let mut encoder = GzEncoder::new(vec![], Compression::none());
    writeln!(encoder, "a,b").unwrap();
    for i in 0..100_000 {
        writeln!(encoder, "{i},\"text\"").unwrap();
    }
    let mut bytes = encoder.finish().unwrap();
    bytes.truncate(bytes.len() / 2);
    let raw = Raw::new(&[("f.csv.gz", bytes)]);
    let good = raw
        .number("SELECT count(*) FROM read_csv('f.csv', 'a BIGINT') WHERE error IS NULL")
        .await;
    assert!(good > 10_000, "{good}");
    let bad = raw
        .rows("SELECT error FROM read_csv('f.csv', 'a BIGINT') WHERE error IS NOT NULL")
        .await;
    assert_eq!(bad.len(), 1);
    assert!(
        bad[0].contains("cannot be read beyond this line"),
        "{bad:?}"
    );
}

#[tokio::test]
async fn a_pattern_reads_its_files_in_order() {
    let raw = Raw::new(&[
        ("valid/b.tsv", "3\tz\n"),
        ("train/b.tsv", "1\tx\nbad\n"),
        ("train/c.tsv", "9\tother\n"),
    ]);
    assert_eq!(
        raw.rows(
            "SELECT file, line, a, error FROM read_delimited('**/b.tsv', '\t', 'a INT, b TEXT')"
        )
        .await,
        [
            "train/b.tsv|1|1|NULL",
            "train/b.tsv|2|NULL|expected 2 fields, found 1",
            "valid/b.tsv|1|3|NULL"
        ]
    );
}

#[tokio::test]
async fn a_missing_file_that_is_allowed_is_an_empty_table() {
    let root = tempfile::tempdir().unwrap();
    let folder = Arc::new(RawFolder::new(root.path().to_owned()).with_missing_allowed());
    let ctx = SessionContext::new();
    register(&ctx, Arc::clone(&folder));
    let frame = ctx.sql(CSV).await.unwrap();
    assert_eq!(frame.count().await.unwrap(), 0);
    assert_eq!(folder.missing(), ["f.csv"]);
}

#[tokio::test]
async fn batches_of_long_lines_are_short() {
    let line = "x".repeat(1 << 20);
    let raw = Raw::new(&[("long.txt", format!("{line}\n").repeat(40))]);
    let batches = raw.batches("SELECT text FROM read_lines('long.txt')").await;
    let rows: Vec<_> = batches.iter().map(RecordBatch::num_rows).collect();
    assert_eq!(rows.iter().sum::<usize>(), 40);
    assert!(rows.iter().all(|&rows| rows <= 17), "{rows:?}");
}
