//! `usermirror train`

use std::ffi::OsString;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use clap::Args;

use super::Global;
use crate::error::{Error, Result};
use crate::settings::Settings;

/// Where `make train` puts the training stage's packages.
const ENVIRONMENT: &str = ".venv/bin/python";

/// The folder of the training stage in a checkout.
const PACKAGE: &str = "training";

/// Arguments of `train`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  usermirror export --format trl --to preferences
  usermirror train sft --model base --data preferences --to sft
  usermirror train dpo --model sft --data preferences --to dpo
  usermirror train export --model dpo --to models/tuned
  usermirror evaluate --model models/tuned --model models/weak
  usermirror train sft --help                  # what a command takes

Commands: sft, dpo, grpo, export, verify, restore. They are Python, `python -m usermirror_training`,
run by .venv/bin/python if it is there (`make .venv/.installed`), else by python3; another one is
named by `python = \"…\"` in the job file or USERMIRROR_PYTHON. docs/training.md tells the rest.")]
pub struct Arguments {
    /// A command of the training stage, and its options
    #[arg(
        required = true,
        trailing_var_arg = true,
        allow_hyphen_values = true,
        value_name = "COMMAND"
    )]
    words: Vec<OsString>,
}

impl Arguments {
    /// Becomes the training stage; returns only when that cannot be started.
    pub(super) fn execute(self, global: &Global) -> Result<u8> {
        let settings = global.settings(None, vec![])?;
        let python = python(&settings);
        let mut command = Command::new(&python);
        command.args(["-m", "usermirror_training"]).args(self.words);
        if Path::new(PACKAGE).join("usermirror_training").is_dir() {
            command.env("PYTHONPATH", search_path());
        }
        Err(Error::file(&python, command.exec()))
    }
}

fn python(settings: &Settings) -> PathBuf {
    let installed = Path::new(ENVIRONMENT);
    let found = if installed.exists() {
        installed
    } else {
        Path::new("python3")
    };
    settings.path("python").unwrap_or_else(|| found.to_owned())
}

/// The training stage's folder before what `PYTHONPATH` says already.
fn search_path() -> OsString {
    let mut path = OsString::from(PACKAGE);
    if let Some(others) = std::env::var_os("PYTHONPATH").filter(|others| !others.is_empty()) {
        path.push(":");
        path.push(others);
    }
    path
}
