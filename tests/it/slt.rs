//! SQL behaviour: every file of `tests/slt`, each in a fresh session.
//!
//! The files are sqllogictest files. They are read here and not by the crate of that name,
//! whose dependencies switch on features of shared ones and so would have every build of
//! the tests compile DataFusion once more.

use std::path::{Path, PathBuf};

use usermirror::session::Session;

use crate::support;

/// One record of a file.
struct Record {
    line: usize,
    sql: String,
    expected: Expected,
}

enum Expected {
    /// `statement ok`
    Done,
    /// `statement error A|B`: the message contains A or B.
    Error(Vec<String>),
    /// `query …`: these rows, white space folded.
    Rows(Vec<String>),
}

fn parse(text: &str) -> Vec<Record> {
    let mut records = vec![];
    let mut lines = text.lines().enumerate().peekable();
    while let Some((number, directive)) = lines.next() {
        if directive.trim().is_empty() || directive.starts_with('#') {
            continue;
        }
        let mut sql = String::new();
        let mut rows = vec![];
        let mut answered = false;
        while let Some((_, line)) = lines.next_if(|(_, line)| !line.trim().is_empty()) {
            match line {
                "----" => answered = true,
                _ if answered => rows.push(folded(line)),
                _ => {
                    sql.push_str(line);
                    sql.push('\n');
                }
            }
        }
        let expected = match directive.split_once(' ') {
            Some(("query", _)) => Expected::Rows(rows),
            Some(("statement", "ok")) => Expected::Done,
            Some(("statement", error)) if error.starts_with("error ") => {
                let alternatives = error["error ".len()..].split('|');
                Expected::Error(alternatives.map(str::to_owned).collect())
            }
            _ => panic!("line {}: unknown directive: {directive}", number + 1),
        };
        records.push(Record {
            line: number + 1,
            sql,
            expected,
        });
    }
    records
}

fn folded(line: &str) -> String {
    line.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Runs a record and says what is wrong, if anything.
async fn verdict(session: &Session, record: &Record) -> Option<String> {
    let answer = match session.ctx.sql(&record.sql).await {
        Ok(frame) => frame.collect().await,
        Err(error) => Err(error),
    };
    match (&record.expected, answer) {
        (Expected::Done, Ok(_)) => None,
        (Expected::Rows(expected), Ok(batches)) => {
            let rows: Vec<String> = support::texts(&batches)
                .iter()
                .map(|cells| {
                    let shown =
                        |cell: &String| if cell.is_empty() { "(empty)" } else { cell }.to_owned();
                    folded(&cells.iter().map(shown).collect::<Vec<_>>().join(" "))
                })
                .collect();
            (rows != *expected).then(|| format!("expected {expected:#?}, found {rows:#?}"))
        }
        (Expected::Error(parts), Err(error)) => {
            let message = error.strip_backtrace();
            let told = parts.iter().any(|part| message.contains(part.as_str()));
            (!told).then(|| format!("expected an error with {parts:?}, found: {message}"))
        }
        (Expected::Error(parts), Ok(_)) => Some(format!("expected an error with {parts:?}")),
        (_, Err(error)) => Some(error.strip_backtrace()),
    }
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = vec![];
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path));
        } else if path.extension().is_some_and(|ending| ending == "slt") {
            found.push(path);
        }
    }
    found.sort();
    found
}

#[tokio::test(flavor = "multi_thread")]
async fn sql_behaves_as_documented() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/slt");
    let mut failures = vec![];
    let mut records = 0;
    for file in files(&folder) {
        let lake = tempfile::tempdir().unwrap();
        let session = support::session(lake.path()).await;
        for record in parse(&std::fs::read_to_string(&file).unwrap()) {
            records += 1;
            if let Some(fault) = verdict(&session, &record).await {
                failures.push(format!("{}:{}: {fault}", file.display(), record.line));
            }
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n\n"));
    assert!(records > 60, "only {records} records found");
}
