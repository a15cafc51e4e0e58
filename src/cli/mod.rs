//! The command line: one file a command.

mod config;
mod doctor;
mod evaluate;
mod export;
mod generate;
mod import;
mod ingest;
mod maintain;
mod options;
mod repl;
mod run;
mod sql;
mod statements;
mod status;
mod train;

use clap::{Parser, Subcommand};

use crate::error::Result;
use crate::progress;
use crate::stop::Stop;
use crate::telemetry::{LogFormat, Telemetry};
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
  usermirror run job.toml --dry-run
  usermirror evaluate --model models/tuned --model models/weak

Exit codes: 0 done, 1 failed, 2 wrong usage, 3 done but over @error_share of the model rows
have errors, 4 stopped at the budget, 75 another run holds the root, 130 interrupted. After
4, 75 and 130 the same command goes on from what is committed.";

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
    /// Tune a model on exported pairs, and make it a model folder
    Train(train::Arguments),
    /// Measure how often models choose what held-out users chose
    Evaluate(Box<evaluate::Arguments>),
    /// Query the tables and call the models: a shell, or one statement
    Sql(sql::Arguments),
    /// Write the preference pairs in a trainer's format
    Export(export::Arguments),
    /// Show how far the runs of a root are, while they go on or later
    Status(status::Arguments),
    /// Compact tables and remove files that nothing needs
    Maintain(maintain::Arguments),
    /// Show the settings and where each came from
    Config(config::Arguments),
    /// Check the installation: runtime library, models, lake
    Doctor(doctor::Arguments),
}

impl Cli {
    /// Whether this is a run, which ends what it has in hand before it leaves.
    pub fn is_run(&self) -> bool {
        matches!(&self.command, Command::Run(_) | Command::Evaluate(_))
    }

    /// Whether this is the SQL shell, in which Ctrl-C ends a query and not the process.
    pub fn is_shell(&self) -> bool {
        matches!(&self.command, Command::Sql(arguments) if arguments.is_shell())
    }

    /// Runs the command and returns the process exit code. When `stop` is asked, a run
    /// ends what it has in hand.
    ///
    /// # Errors
    /// Fails as the command does; see [`crate::Error::exit_code`].
    pub async fn execute(self, stop: Stop) -> Result<u8> {
        let global = &self.global;
        let telemetry = Telemetry::start(
            global.log_format,
            global.metrics.as_deref(),
            global.metrics_listen,
        )?;
        if global.quiet || global.log_format == LogFormat::Json {
            progress::set_quiet();
        }
        let done = match self.command {
            Command::Generate(arguments) => arguments.execute(global).await,
            Command::Ingest(arguments) => arguments.execute(global).await,
            Command::Import(arguments) => arguments.execute(global).await,
            Command::Run(arguments) => arguments.execute(global, stop).await,
            Command::Train(arguments) => arguments.execute(global),
            Command::Evaluate(arguments) => arguments.execute(global, stop).await,
            Command::Sql(arguments) => arguments.execute(global).await,
            Command::Export(arguments) => arguments.execute(global).await,
            Command::Status(arguments) => arguments.execute(global).await,
            Command::Maintain(arguments) => arguments.execute(global).await,
            Command::Config(arguments) => arguments.execute(global),
            Command::Doctor(arguments) => arguments.execute(global).await,
        };
        telemetry.finish();
        done
    }
}
