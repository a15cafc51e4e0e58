//! Hostile raw files: nothing panics, nothing is evaluated, and every line is accounted for.

use std::io::Write;
use std::path::Path;

use flate2::Compression;
use flate2::write::GzEncoder;
use tempfile::TempDir;
use usermirror::generate::{generate, world::World};
use usermirror::ingest::{Account, Source, ingest};
use usermirror::session::Session;

use crate::support::{dataset, rows, session, strict};

/// A small invented world in the raw format of dataset `name`, and a session.
async fn raw(name: &str) -> (TempDir, Session) {
    let folder = tempfile::tempdir().unwrap();
    let session = session(&folder.path().join("lake")).await;
    let world = World::new(30, 5);
    generate(&session, &dataset(name), &world, &folder.path().join("raw"))
        .await
        .unwrap();
    (folder, session)
}

/// Ingests what is there and returns the accounts, each of which must add up.
async fn ingested(session: &Session, name: &str, folder: &Path) -> Vec<Account> {
    let source = Source {
        strict: false,
        ..strict(name, &folder.join("raw"))
    };
    let accounts = ingest(session, &source).await.unwrap().accounts;
    for account in &accounts {
        let dropped: i64 = account.dropped.iter().map(|(.., rows)| rows).sum();
        assert_eq!(account.read, account.kept + dropped, "{account:?}");
    }
    accounts
}

fn append(file: &Path, bytes: &[u8]) {
    let mut file = std::fs::OpenOptions::new().append(true).open(file).unwrap();
    file.write_all(bytes).unwrap();
}

/// The rows of a query over what has been ingested.
async fn query(session: &Session, sql: &str) -> Vec<Vec<String>> {
    rows(&session.sister().await.unwrap(), sql).await
}

/// How often each reason stands in a quarantine, for the lines of `file`.
async fn reasons(session: &Session, name: &str, file: &str) -> Vec<Vec<String>> {
    let reasons = format!(
        "SELECT reason, count(*) FROM {name}.quarantine WHERE file = '{file}'
         GROUP BY reason ORDER BY reason"
    );
    query(session, &reasons).await
}

#[tokio::test(flavor = "multi_thread")]
async fn code_in_a_python_file_is_text_and_endless_lines_are_skipped() {
    let (folder, session) = raw("steam").await;
    let file = folder.path().join("raw/steam_games.json");
    let lines = std::fs::read_to_string(&file).unwrap().lines().count();
    let bad = ingested(&session, "steam", folder.path()).await[0].clone();
    let marker = folder.path().join("evaluated");
    let code = format!("{{u'id': open('{}', 'w')}}\n", marker.display());
    append(&file, code.as_bytes());
    append(&file, b"__import__('os').system('exit')\n");
    append(&file, b"{u'id': u'\xff\xfe'}\n");
    append(&file, &vec![b'['; 100 << 20]);
    append(&file, b"\n");

    let games = ingested(&session, "steam", folder.path()).await[0].clone();
    assert!(!marker.exists());
    assert_eq!(games.table, "raw_games");
    assert_eq!(games.read, lines as i64 + 4);
    assert_eq!(games.quarantined(), bad.quarantined() + 4, "{games:?}");
    let longest = query(
        &session,
        "SELECT max(character_length(raw)) FROM steam.quarantine",
    );
    assert_eq!(longest.await, [["1000"]]);
}

#[tokio::test(flavor = "multi_thread")]
async fn impossible_times_and_second_keys_are_quarantined() {
    let (folder, session) = raw("movielens").await;
    let ratings = folder.path().join("raw/ratings.dat");
    append(
        &ratings,
        b"1::2::5::-5\n1::2::5::99999999999\n1::2::5::99999999999999999999\n",
    );
    append(&folder.path().join("raw/users.dat"), b"1::F::1::1::00000\n");
    ingested(&session, "movielens", folder.path()).await;
    let time = "time is not between 1995 and 2100";
    assert_eq!(
        reasons(&session, "movielens", "ratings.dat").await,
        [
            ["seconds: '99999999999999999999' is not a BIGINT", "1"],
            [time, "2"]
        ]
    );
    assert_eq!(
        reasons(&session, "movielens", "users.dat").await,
        [["user stands twice", "1"]]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cut_gzip_keeps_its_whole_lines_and_says_so() {
    let (folder, session) = raw("movielens").await;
    let ratings = folder.path().join("raw/ratings.dat");
    let text = std::fs::read(&ratings).unwrap();
    let mut packed = GzEncoder::new(vec![], Compression::none());
    packed.write_all(&text).unwrap();
    let packed = packed.finish().unwrap();
    std::fs::remove_file(&ratings).unwrap();
    std::fs::write(
        ratings.with_extension("dat.gz"),
        &packed[..packed.len() / 2],
    )
    .unwrap();

    let accounts = ingested(&session, "movielens", folder.path()).await;
    let ratings = accounts.iter().find(|a| a.table == "raw_ratings").unwrap();
    assert!(ratings.kept > 100, "{ratings:?}");
    assert_eq!(ratings.quarantined(), 1, "{ratings:?}");
    let reasons = reasons(&session, "movielens", "ratings.dat").await;
    assert!(
        reasons[0][0].contains("cannot be read beyond"),
        "{reasons:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_csv_of_lone_quotes_costs_its_lines_and_no_more() {
    let (folder, session) = raw("kuairec2").await;
    let file = folder.path().join("raw/big_matrix.csv");
    let before = ingested(&session, "kuairec2", folder.path()).await;
    append(&file, "\"\n".repeat(100_001).as_bytes());
    append(&file, b"1,1,5000,5000,,20200705,1593878903.4,1.0\n");
    let after = ingested(&session, "kuairec2", folder.path()).await;
    let views = |accounts: &[Account]| {
        let found = accounts.iter().find(|a| a.table == "raw_views");
        found.unwrap().clone()
    };
    let (before, after) = (views(&before), views(&after));
    assert_eq!(after.kept, before.kept + 1, "the line after the quotes");
    assert!(
        after.quarantined() > before.quarantined() + 50_000,
        "{after:?}"
    );
}
