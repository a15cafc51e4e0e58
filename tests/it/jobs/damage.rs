//! Bad days: a full disk, refused credentials, damaged files. Each is told, and what is
//! whole stays readable.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::{Place, assert_same, said, succeeded};

/// The files of `folder` whose names end with `ending`, sorted.
fn files(folder: &Path, ending: &str) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap();
    let mut files: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    files.retain(|file| file.to_string_lossy().ends_with(ending));
    files.sort();
    files
}

fn done() -> Place {
    let place = Place::local();
    succeeded(&place.run(&[]).output().unwrap());
    place
}

/// Asserts that reading `table` fails with `words`, and that everything else is readable.
fn assert_only_broken(place: &Place, table: &str, words: &[&str]) {
    let (code, errors) = said(&place.output(&["sql", "-c", &format!("SELECT * FROM {table}")]));
    assert_eq!(code, Some(1), "{errors}");
    for word in words {
        assert!(errors.contains(word), "{word} is not in: {errors}");
    }
    assert!(place.query("SHOW TABLES").contains("preferences"));
    assert_eq!(place.query("SELECT count(*) FROM decisions"), "192");
    assert_eq!(place.query("SELECT count(*) FROM movielens.users"), "60");
}

#[test]
fn a_damaged_file_spoils_its_own_table_only() {
    let place = done();
    let lake = place.folder.path().join("lake");
    let file = lake.join("movielens/items.parquet");
    let mut bytes = std::fs::read(&file).unwrap();
    let footer = bytes.len() - 8;
    bytes[footer..].fill(0);
    std::fs::write(&file, bytes).unwrap();
    assert_only_broken(
        &place,
        "movielens.items",
        &["movielens.items", "items.parquet", "ingest"],
    );

    let file = &files(&lake.join("scores"), ".parquet")[0];
    let mut bytes = std::fs::read(file).unwrap();
    let footer = bytes.len() - 8;
    bytes[footer..].fill(0);
    std::fs::write(file, bytes).unwrap();
    assert_only_broken(&place, "scores", &[]);
}

#[test]
fn a_cut_log_entry_is_told_with_the_way_to_mend_it() {
    let place = done();
    let log = place.folder.path().join("lake/scores/_delta_log");
    let entry = &files(&log, ".json")[1];
    let text = std::fs::read(entry).unwrap();
    std::fs::write(entry, &text[..text.len() / 2]).unwrap();
    assert_only_broken(
        &place,
        "scores",
        &["table scores cannot be read", "_delta_log", "copy"],
    );
    let (code, errors) = said(&place.run(&[]).output().unwrap());
    assert_eq!(code, Some(1), "{errors}");
    // Mended as told: the table is made anew, out of decisions that were kept.
    let expected = std::fs::write(entry, &text)
        .map(|()| place.tables())
        .unwrap();
    std::fs::remove_dir_all(log.parent().unwrap()).unwrap();
    succeeded(&place.run(&[]).output().unwrap());
    assert_same(&place.tables(), &expected, "made anew");
}

#[test]
fn a_full_disk_is_told_and_the_run_goes_on_when_there_is_room() {
    let place = Place::local();
    succeeded(&place.run(&["--until", "scenarios"]).output().unwrap());
    // No file may grow beyond 4 KiB: as good as full for a table's files.
    let run = place.run(&[]);
    let full = Command::new("bash")
        .args(["-c", "trap '' XFSZ; ulimit -f 4; exec \"$0\" \"$@\""])
        .arg(run.get_program())
        .args(run.get_args())
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .unwrap();
    let errors = String::from_utf8_lossy(&full.stderr);
    assert_eq!(full.status.code(), Some(1), "{errors}");
    assert!(
        errors.contains("table decisions could not be written"),
        "{errors}"
    );
    assert!(errors.contains("free space"), "{errors}");
    succeeded(&place.run(&[]).output().unwrap());
    assert_same(&place.tables(), &done().tables(), "after the disk was full");
}

#[test]
fn a_root_that_cannot_be_is_told() {
    let place = Place::local();
    let file = place.folder.path().join("file");
    std::fs::write(&file, "").unwrap();
    let root = file.join("lake").to_string_lossy().into_owned();
    let (code, errors) = said(&place.elsewhere(root).output(&["status"]));
    assert_ne!(code, Some(0));
    assert!(errors.contains("lake"), "{errors}");
}

/// A store that answers every request as S3 does when credentials have expired.
fn refusing_store() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { return };
            let mut request = [0; 65536];
            let _read = stream.read(&mut request);
            let body = "<?xml version=\"1.0\"?><Error><Code>ExpiredToken</Code>\
                        <Message>The provided token has expired.</Message></Error>";
            let answer = format!(
                "HTTP/1.1 400 Bad Request\r\nContent-Type: application/xml\r\n\
                 Content-Length: {}\r\nConnection: close\r\n\r\n{body}",
                body.len()
            );
            let _written = stream.write_all(answer.as_bytes());
        }
    });
    port
}

#[test]
fn expired_credentials_are_told_and_never_shown() {
    let place = Place::local();
    let output = place
        .elsewhere("s3://lake/x".to_owned())
        .command(&["status"])
        .envs([
            (
                "AWS_ENDPOINT",
                format!("http://127.0.0.1:{}", refusing_store()).as_str(),
            ),
            ("AWS_ALLOW_HTTP", "true"),
            ("AWS_ACCESS_KEY_ID", "AKIATEST"),
            ("AWS_SECRET_ACCESS_KEY", "a-secret-of-the-test"),
            ("AWS_REGION", "us-east-1"),
            ("AWS_EC2_METADATA_DISABLED", "true"),
        ])
        .output()
        .unwrap();
    let (code, errors) = said(&output);
    assert_eq!(code, Some(1), "{errors}");
    assert!(errors.contains("refused the credentials"), "{errors}");
    assert!(errors.contains("run the same command again"), "{errors}");
    assert!(!errors.contains("a-secret-of-the-test"), "{errors}");
}
