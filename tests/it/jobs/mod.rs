//! Runs as jobs: killed, resumed, bounded, contended for, watched; on a folder and on S3.

mod damage;
mod kills;
mod lineage;
mod s3;
mod server;
mod stops;
mod telemetry;

use std::path::PathBuf;
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use tempfile::TempDir;

/// The tables that a job makes and that must not depend on how often it was interrupted.
pub const TABLES: [&str; 5] = [
    "scenarios",
    "decisions",
    "scores",
    "uncertainty",
    "preferences",
];

/// A small job: 24 scenarios, 4 decisions a model, commits of at most 6 units.
pub fn job() -> String {
    JOB.replace("HOME", env!("CARGO_MANIFEST_DIR"))
}

const JOB: &str = "
datasets = 'movielens'

[parameters]
scenarios = 24
draws = 4
history_min = 5
history_max = 8
choices_min = 4
choices_max = 5

[commit]
units = 6

[models]
strong.location = 'HOME/models/strong'
weak.location = 'HOME/models/weak'
";

/// Where a job's tables are, and how its process is started.
pub struct Place {
    pub folder: TempDir,
    pub root: String,
    variables: Vec<(String, String)>,
}

impl Place {
    /// A folder of its own with a small ingested world.
    pub fn local() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("lake").to_string_lossy().into_owned();
        Self::at(folder, root, vec![])
    }

    /// Root `root`, reached with `variables`, with a small ingested world.
    pub fn at(folder: TempDir, root: String, variables: Vec<(String, String)>) -> Self {
        let place = Self {
            folder,
            root,
            variables,
        };
        std::fs::write(place.job(), job()).unwrap();
        let raw = place
            .folder
            .path()
            .join("raw")
            .to_string_lossy()
            .into_owned();
        place.succeed(&[
            "generate",
            "movielens",
            "--to",
            &raw,
            "--users",
            "60",
            "--seed",
            "7",
        ]);
        place.succeed(&["ingest", "movielens", "--from", &raw]);
        place
    }

    /// The same place with root `root`.
    pub fn elsewhere(self, root: String) -> Self {
        Self { root, ..self }
    }

    pub fn job(&self) -> PathBuf {
        self.folder.path().join("job.toml")
    }

    /// The command, to be started.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_usermirror"));
        command
            .args(["--root", &self.root])
            .args(arguments)
            .envs(self.variables.iter().cloned())
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    /// The job's run, to be started.
    pub fn run(&self, more: &[&str]) -> Command {
        let mut command = self.command(&["run"]);
        command.arg(self.job()).args(more);
        command
    }

    /// What a command did.
    pub fn output(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().unwrap()
    }

    /// What a command printed, which had to succeed.
    pub fn succeed(&self, arguments: &[&str]) -> String {
        succeeded(&self.output(arguments))
    }

    /// The answer to a query, a line a row.
    pub fn query(&self, sql: &str) -> String {
        let text = self.succeed(&["sql", "--format", "csv", "-c", sql]);
        text.lines().skip(1).collect::<Vec<_>>().join("\n")
    }

    /// Every row of `table`, in the order of its keys.
    pub fn rows(&self, table: &str) -> String {
        let sql = format!("SELECT * FROM {table} ORDER BY 1, 2, 3");
        self.succeed(&["sql", "--format", "ndjson", "-c", &sql])
    }

    /// Every row of the job's tables.
    pub fn tables(&self) -> Vec<String> {
        TABLES.iter().map(|table| self.rows(table)).collect()
    }
}

/// What a command printed, which had to succeed.
pub fn succeeded(output: &Output) -> String {
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{:?}: {errors}", output.status);
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// A command's exit code and what it said on standard error.
pub fn said(output: &Output) -> (Option<i32>, String) {
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!errors.contains("panicked"), "{errors}");
    (output.status.code(), errors)
}

/// A draw from 0 to 1 by (seed, number), the same on every machine.
pub fn draw(seed: u64, number: u64) -> f64 {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ number;
    state = (state ^ (state >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    state = (state ^ (state >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    ((state ^ (state >> 31)) >> 11) as f64 / (1u64 << 53) as f64
}

/// Asserts that two lists of tables are the same, by name.
pub fn assert_same(found: &[String], expected: &[String], what: &str) {
    for (table, (found, expected)) in TABLES.iter().zip(found.iter().zip(expected)) {
        assert!(
            found == expected,
            "{what}: {table} differs from an undisturbed run's"
        );
    }
}

pub const SECOND: Duration = Duration::from_secs(1);
