//! The command as its user meets it: the whole path, and what it says to bad input.

use std::path::Path;
use std::process::{Command, Output};

use tempfile::TempDir;

const SMALL: [&str; 8] = [
    "--set",
    "history_min=5",
    "--set",
    "history_max=8",
    "--set",
    "choices_min=4",
    "--set",
    "choices_max=5",
];

fn usermirror(folder: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_usermirror"))
        .args(["--root", &folder.join("lake").to_string_lossy()])
        .args(arguments)
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .unwrap()
}

/// What a command printed, when it succeeded.
fn output(folder: &Path, arguments: &[&str]) -> String {
    let output = usermirror(folder, arguments);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{arguments:?}: {errors}");
    format!("{}{errors}", String::from_utf8_lossy(&output.stdout))
}

/// A command's exit code and what it said on standard error.
fn failure(folder: &Path, arguments: &[&str]) -> (Option<i32>, String) {
    let output = usermirror(folder, arguments);
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!errors.contains("panicked"), "{errors}");
    (output.status.code(), errors)
}

fn query(folder: &Path, sql: &str) -> String {
    let text = answer(folder, sql, "csv");
    text.lines().skip(1).collect::<Vec<_>>().join("\n")
}

fn answer(folder: &Path, sql: &str, format: &str) -> String {
    let output = usermirror(folder, &["sql", "--format", format, "-c", sql]);
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).unwrap()
}

fn raw(folder: &Path) -> String {
    folder.join("raw").to_string_lossy().into_owned()
}

/// A folder with a small ingested world.
fn ingested() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let raw = raw(folder.path());
    output(
        folder.path(),
        &[
            "generate",
            "movielens",
            "--to",
            &raw,
            "--users",
            "60",
            "--seed",
            "7",
        ],
    );
    output(folder.path(), &["ingest", "movielens", "--from", &raw]);
    folder
}

fn run_arguments<'a>(more: &[&'a str]) -> Vec<&'a str> {
    let mut arguments = vec!["run", "--scenarios", "24", "--draws", "4"];
    arguments.extend(SMALL);
    arguments.extend(more);
    arguments
}

#[test]
fn doctor_tells_what_other_weights_cost_on_ones_own_scenarios() {
    let folder = ingested();
    let doctor = |model| {
        let arguments = ["doctor", "--model", model, "--against", "models/weak"];
        output(folder.path(), &arguments)
    };
    let without = doctor("models/weak");
    assert!(without.contains("not compared"), "{without}");
    assert!(without.contains("has no table scenarios"), "{without}");
    output(folder.path(), &run_arguments(&["--until", "decisions"]));
    let same = doctor("models/weak");
    assert!(same.contains("| 24        | 0.0           | 0.0"), "{same}");
    assert!(same.contains("| 24              |"), "{same}");
    let other = doctor("models/strong");
    assert!(!other.contains("| 24        | 0.0 "), "{other}");
}

#[test]
fn raw_logs_become_preference_pairs_and_a_second_run_does_nothing() {
    let folder = ingested();
    let first = output(folder.path(), &run_arguments(&[]));
    assert!(first.contains("--- chosen"), "no example pair in:\n{first}");
    let profiles = query(
        folder.path(),
        "SELECT count(*), count(gender), count(age), count(occupation),
                count(*) FILTER (WHERE age IN ('50-55', '56+')) > 0
         FROM movielens.users",
    );
    assert_eq!(profiles, "60,60,60,60,true", "every code has its words");
    let decisions = query(
        folder.path(),
        "SELECT count(*), count(DISTINCT scenario_id) FROM decisions WHERE error IS NULL",
    );
    assert_eq!(decisions, "192,24");
    let pairs: u32 = query(folder.path(), "SELECT count(*) FROM preferences")
        .parse()
        .unwrap();
    assert!(pairs > 0);

    let runs = query(folder.path(), "SELECT count(*) FROM runs");
    let second = output(folder.path(), &run_arguments(&[]));
    assert_eq!(second.matches("up to date").count(), 6, "{second}");
    assert_eq!(query(folder.path(), "SELECT count(*) FROM runs"), runs);

    let weights = "SELECT DISTINCT json_as_text(weights, 'weak') FROM runs WHERE step = 'scores'";
    assert_eq!(query(folder.path(), weights), "fp32 on cpu");

    let to = folder.path().join("preferences");
    output(
        folder.path(),
        &["export", "--format", "trl", "--to", &to.to_string_lossy()],
    );
    let exported = query(
        folder.path(),
        &format!(
            "SELECT count(*), min(chosen[1]['role']) FROM '{}'",
            to.join("data/train-00000-of-00001.parquet").display()
        ),
    );
    assert_eq!(exported, format!("{pairs},assistant"));
    let card = std::fs::read_to_string(to.join("README.md")).unwrap();
    assert!(card.contains("path: data/train-*"), "{card}");
}

#[test]
fn tables_do_not_depend_on_partitions_or_batches() {
    let tables = ["scenarios", "decisions", "scores", "preferences"];
    let mut made: Vec<Vec<Vec<u8>>> = vec![];
    for (partitions, batch) in [("1", "8192"), ("4", "7")] {
        let folder = ingested();
        let status = Command::new(env!("CARGO_BIN_EXE_usermirror"))
            .args([
                "--quiet",
                "--root",
                &folder.path().join("lake").to_string_lossy(),
            ])
            .args(run_arguments(&[]))
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .env("DATAFUSION_EXECUTION_TARGET_PARTITIONS", partitions)
            .env("DATAFUSION_EXECUTION_BATCH_SIZE", batch)
            .status()
            .unwrap();
        assert!(status.success());
        let rows = tables.map(|table| {
            answer(
                folder.path(),
                &format!("SELECT * FROM {table} ORDER BY 1, 2, 3"),
                "ndjson",
            )
        });
        made.push(rows.map(String::into_bytes).to_vec());
    }
    for (i, table) in tables.iter().enumerate() {
        assert!(made[0][i] == made[1][i], "{table} differs");
    }
}

#[test]
fn a_prompt_beyond_the_context_is_an_error_row_and_the_run_goes_on() {
    let folder = ingested();
    let (code, errors) = failure(folder.path(), &run_arguments(&["--style", "full"]));
    assert_eq!(code, Some(3), "{errors}");
    let error = query(folder.path(), "SELECT count(*), min(error) FROM decisions");
    assert!(
        error.starts_with("48,") && error.contains("exceeds"),
        "{error}"
    );
}

#[test]
fn bad_lines_go_to_quarantine_or_stop_a_strict_ingest() {
    let folder = tempfile::tempdir().unwrap();
    let raw = raw(folder.path());
    output(
        folder.path(),
        &["generate", "movielens", "--to", &raw, "--users", "20"],
    );
    let ratings = Path::new(&raw).join("ratings.dat");
    let mut lines = std::fs::read(&ratings).unwrap();
    lines.extend_from_slice(
        b"1::2::5\n1::99999::4::950000000\n1::2::nine::950000000\n1::2::9::950000000\n",
    );
    std::fs::write(&ratings, lines).unwrap();

    let (code, errors) = failure(
        folder.path(),
        &["ingest", "movielens", "--from", &raw, "--strict"],
    );
    assert_eq!(code, Some(1));
    assert!(errors.contains("expected 4 fields, found 3"), "{errors}");
    let (_, missing) = failure(folder.path(), &["run", "--until", "scenarios"]);
    assert!(missing.contains("usermirror ingest movielens"), "{missing}");

    for time in ["a first", "a second"] {
        let told = output(folder.path(), &["ingest", "movielens", "--from", &raw]);
        assert!(told.contains("movie is not in movies.dat"), "{told}");
        let bad = query(
            folder.path(),
            "SELECT concat(reason, ': ', raw) FROM movielens.quarantine
             WHERE file = 'ratings.dat' ORDER BY line",
        );
        let bad: Vec<_> = bad.lines().map(|line| line.trim_matches('"')).collect();
        assert_eq!(
            bad,
            [
                "expected 4 fields, found 3: 1::2::5",
                "movie is not in movies.dat: 1::99999::4::950000000",
                "rating: 'nine' is not a INT: 1::2::nine::950000000",
                "rating is not 1 to 5: 1::2::9::950000000"
            ],
            "{time} ingest"
        );
    }
}

#[test]
fn wrong_input_is_told_with_the_way_to_mend_it() {
    let folder = tempfile::tempdir().unwrap();
    let empty = folder.path().join("empty");
    std::fs::create_dir(&empty).unwrap();
    let empty = empty.to_string_lossy().into_owned();
    let cases: [(&[&str], i32, &str); 9] = [
        (
            &["ingest", "netflix", "--from", &empty],
            2,
            "there are: amazon, goodreads, kuairec2",
        ),
        (
            &["ingest", "movielens", "--from", &empty],
            1,
            "has no file 'users.dat'",
        ),
        (
            &["ingest", "movielens", "--from", "nowhere"],
            2,
            "not a folder",
        ),
        (
            &["run", "--set", "choices_max=27"],
            2,
            "one a letter from A to Z",
        ),
        (&["run", "--set", "choice=3"], 2, "no parameter choice"),
        (&["export", "--to", &empty], 2, "first run: usermirror run"),
        (
            &["import", "evaluation", "--from", "nowhere"],
            2,
            "no such file or folder",
        ),
        (
            &["import", "preferences", "--from", &empty],
            2,
            "it should hold *.parquet, *.jsonl",
        ),
        (
            &["run", "--from", "scores", "--until", "decisions"],
            2,
            "--from is a later step than --until",
        ),
    ];
    for (arguments, code, message) in cases {
        let (found, errors) = failure(folder.path(), arguments);
        assert_eq!(found, Some(code), "{arguments:?}: {errors}");
        assert!(errors.contains(message), "{arguments:?}: {errors}");
    }
}

#[test]
fn storage_that_refuses_a_table_is_told_and_never_a_panic() {
    let folder = tempfile::tempdir().unwrap();
    let raw = raw(folder.path());
    output(
        folder.path(),
        &["generate", "movielens", "--to", &raw, "--users", "20"],
    );
    // The finished upload cannot take its place, as on a full disk.
    let blocked = folder
        .path()
        .join("lake/movielens/quarantine.parquet/blocked");
    std::fs::create_dir_all(blocked).unwrap();
    let (code, errors) = failure(folder.path(), &["ingest", "movielens", "--from", &raw]);
    assert_eq!(code, Some(1), "{errors}");
    assert!(errors.contains("quarantine.parquet"), "{errors}");
}

#[test]
fn a_wrong_model_folder_or_device_is_refused_by_name() {
    let folder = ingested();
    let wrong = folder.path().join("lake").to_string_lossy().into_owned();
    let (code, errors) = failure(folder.path(), &run_arguments(&["--strong", &wrong]));
    assert_eq!(code, Some(1));
    assert!(errors.contains("it has no `slot.onnx`"), "{errors}");
    let (_, errors) = failure(folder.path(), &run_arguments(&["--device", "cuda:0"]));
    assert!(errors.contains("'cuda:0' cannot be had"), "{errors}");
    let (_, errors) = failure(folder.path(), &run_arguments(&["--runtime", "/nowhere.so"]));
    assert!(errors.contains("make runtime"), "{errors}");
}

#[test]
fn a_run_compares_items_by_the_encoder_that_it_is_given() {
    let folder = ingested();
    let scenarios = |encoder: &'static str| {
        let run = [
            "run",
            "--until",
            "scenarios",
            "--scenarios",
            "20",
            "--encoder",
        ];
        [&run[..], &[encoder]].concat()
    };
    output(folder.path(), &scenarios("models/encoder"));
    let again = output(folder.path(), &scenarios("models/encoder"));
    assert!(again.contains("up to date"), "{again}");
    let (code, message) = failure(folder.path(), &scenarios("models/weak"));
    assert_eq!(code, Some(1));
    assert!(message.contains("embed asks an encoder"), "{message}");
}

#[test]
fn a_served_model_is_opened_in_sql_with_its_options() {
    let folder = TempDir::new().unwrap();
    let create = "CREATE EXTERNAL TABLE teacher STORED AS MODEL \
                  LOCATION 'http://127.0.0.1:9/v1' OPTIONS ('model' 'gpt', 'continue' 'ask')";
    let facts = query(
        folder.path(),
        &format!("{create}; SELECT family, device FROM teacher"),
    );
    assert_eq!(facts, "gpt,http");
    let wrong = create.replace("continue", "threads");
    let (code, errors) = failure(folder.path(), &["sql", "-c", &wrong]);
    assert_eq!(code, Some(1));
    assert!(errors.contains("no option 'threads'"), "{errors}");
}
