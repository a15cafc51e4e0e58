//! `usermirror sql`

use std::collections::BTreeMap;
use std::io::IsTerminal;
use std::path::PathBuf;
use std::sync::Arc;

use clap::{Args, ValueEnum};
use datafusion_cli::print_format::PrintFormat;
use datafusion_cli::print_options::{MaxRows, PrintOptions};

use super::{Global, repl, statements};
use crate::error::{Error, Result};
use crate::session::Session;

/// Arguments of `sql`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  usermirror sql
  usermirror sql -c 'SELECT * FROM preferences LIMIT 1' --format ndjson
  usermirror sql --model weak=models/weak -c \"SELECT choose('weak', messages, '', choice_count)
      FROM scenarios LIMIT 3\"

In the shell, \\? lists its commands, \\d the tables, \\q leaves; @seed and the other
parameters can be used in queries and changed by SET usermirror.seed = 7.")]
pub struct Arguments {
    /// A statement to run; may be repeated, runs before the files
    #[arg(short = 'c', value_name = "SQL", allow_hyphen_values = true)]
    commands: Vec<String>,
    /// A file of statements to run; may be repeated
    #[arg(short = 'f', value_name = "FILE")]
    files: Vec<PathBuf>,
    /// How results are printed [default: table on a terminal, ndjson in a pipe]
    #[arg(long, value_enum)]
    format: Option<Format>,
    /// Open a model under a name; may be repeated
    #[arg(long = "model", value_name = "NAME=DIR")]
    models: Vec<String>,
    /// Where models run: cpu, cuda:N, cuda (on every GPU), or auto (on GPUs if there are any)
    #[arg(long, default_value = "auto")]
    device: String,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Format {
    Table,
    Csv,
    Json,
    Ndjson,
}

impl From<Format> for PrintFormat {
    fn from(format: Format) -> Self {
        match format {
            Format::Table => Self::Table,
            Format::Csv => Self::Csv,
            Format::Json => Self::Json,
            Format::Ndjson => Self::NdJson,
        }
    }
}

impl Arguments {
    /// Whether this is the shell, which handles Ctrl-C itself.
    pub(super) fn is_shell(&self) -> bool {
        self.commands.is_empty() && self.files.is_empty() && std::io::stdin().is_terminal()
    }

    pub(super) async fn execute(self, global: &Global) -> Result<u8> {
        let session = global.session().await?;
        for model in &self.models {
            let (name, location) = model
                .split_once('=')
                .ok_or_else(|| Error::Usage(format!("--model {model}: write NAME=DIR")))?;
            session
                .open_model(name, location, &self.device, BTreeMap::new())
                .await?;
        }
        let mut print = self.print_options(&session);
        let mut scripts = self.commands.clone();
        for file in &self.files {
            scripts.push(std::fs::read_to_string(file).map_err(|e| Error::file(file, e))?);
        }
        if self.is_shell() {
            repl::run(&session, &mut print).await?;
        } else if scripts.is_empty() {
            let piped = std::io::read_to_string(std::io::stdin());
            scripts.push(piped.map_err(|e| Error::file("standard input", e))?);
        }
        for script in scripts {
            statements::execute(&session, script, &print).await?;
        }
        Ok(0)
    }

    fn print_options(&self, session: &Session) -> PrintOptions {
        let terminal = std::io::stdout().is_terminal();
        let usual = if terminal {
            Format::Table
        } else {
            Format::Ndjson
        };
        PrintOptions {
            format: self.format.unwrap_or(usual).into(),
            quiet: !self.is_shell(),
            maxrows: if self.is_shell() {
                MaxRows::Limited(100)
            } else {
                MaxRows::Unlimited
            },
            color: terminal,
            instrumented_registry: Arc::clone(&session.stores),
        }
    }
}
