//! The command line: one file a command.

mod doctor;
mod export;
mod generate;
mod import;
mod ingest;
mod options;
mod repl;
mod run;
mod sql;

use clap::{Parser, Subcommand};

use crate::error::Result;
use crate::progress;
pub use options::Global;

/// Turns recommender logs into a preference-aligned user simulator.
///
/// Raw logs become tables; SQL builds scenarios from them; a strong and a weak language
/// model write decisions; their uncertainty picks the preference pairs worth training on.
/// Every step is a table under --root that `usermirror sql` can query.
#[derive(Debug, Parser)]
#[command(version, propagate_version = true, after_help = EXAMPLES)]
pub struct Cli {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    command: Command,
}

const EXAMPLES: &str = "Examples:
  usermirror generate movielens --to raw --users 1000
  usermirror ingest movielens --from raw
  usermirror run --datasets movielens --scenarios 512
  usermirror sql -c 'SELECT dataset, split, count(*) FROM scenarios GROUP BY ALL'
  usermirror export --format trl --to preferences

Exit codes: 0 done, 1 failed, 2 wrong usage, 3 done but over @error_share of the
model rows have errors, 130 interrupted.";

#[derive(Debug, Subcommand)]
enum Command {
    /// Write an invented dataset in a publisher's raw format
    Generate(generate::Arguments),
    /// Read a dataset's raw files into users, items and interactions
    Ingest(ingest::Arguments),
    /// Read published sets and pipeline files into scenarios, decisions, scores, preferences
    Import(import::Arguments),
    /// Build scenarios, decisions, scores and preference pairs
    Run(Box<run::Arguments>),
    /// Query the tables and call the models: a shell, or one statement
    Sql(sql::Arguments),
    /// Write the preference pairs in a trainer's format
    Export(export::Arguments),
    /// Check the installation: runtime library, models, lake
    Doctor(doctor::Arguments),
}

impl Cli {
    /// Whether this is the SQL shell, in which Ctrl-C ends a query and not the process.
    pub fn is_shell(&self) -> bool {
        matches!(&self.command, Command::Sql(arguments) if arguments.is_shell())
    }

    /// Runs the command and returns the process exit code.
    ///
    /// # Errors
    /// Fails as the command does; see [`crate::Error::exit_code`].
    pub async fn execute(self) -> Result<u8> {
        if self.global.quiet {
            progress::set_quiet();
        }
        match self.command {
            Command::Generate(arguments) => arguments.execute(&self.global).await,
            Command::Ingest(arguments) => arguments.execute(&self.global).await,
            Command::Import(arguments) => arguments.execute(&self.global).await,
            Command::Run(arguments) => arguments.execute(&self.global).await,
            Command::Sql(arguments) => arguments.execute(&self.global).await,
            Command::Export(arguments) => arguments.execute(&self.global).await,
            Command::Doctor(arguments) => arguments.execute(&self.global).await,
        }
    }
}
