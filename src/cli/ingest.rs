//! `usermirror ingest`

use std::path::PathBuf;

use clap::Args;
use indicatif::HumanCount;

use super::Global;
use crate::datasets::Dataset;
use crate::error::Result;
use crate::ingest::{Account, Source, ingest};

/// Arguments of `ingest`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  usermirror ingest movielens --from ml-1m
  usermirror ingest amazon/All_Beauty --from reviews

Files may be gzipped (ratings.dat.gz). Every row is accounted for: kept, filtered by a rule
of the dataset (datasets/<name>/README.md), or put into the table <dataset>.quarantine with
file, line, reason and raw text; look at those with
  usermirror sql -c 'SELECT reason, count(*) FROM movielens.quarantine GROUP BY reason'")]
pub struct Arguments {
    /// The dataset's name, a folder of datasets/; NAME/VARIANT where one comes in parts
    dataset: Dataset,
    /// The folder with the publisher's files
    #[arg(long, value_name = "DIR")]
    from: PathBuf,
    /// Fail on the first kind of bad row instead of putting it into quarantine
    #[arg(long)]
    strict: bool,
    /// Go on where files are missing, as if they were empty
    #[arg(long)]
    partial: bool,
    /// Memory, in MiB, for sorting and joining before they spill to disk
    #[arg(long, value_name = "MIB", default_value_t = 1024)]
    memory: usize,
}

impl Arguments {
    pub(super) async fn execute(self, global: &Global) -> Result<u8> {
        let session = global.session().await?;
        let source = Source {
            dataset: self.dataset,
            from: self.from,
            strict: self.strict,
            partial: self.partial,
            memory: self.memory << 20,
        };
        let outcome = ingest(&session, &source).await?;
        for file in &outcome.missing {
            eprintln!("{file}: missing, read as empty");
        }
        for account in &outcome.accounts {
            println!("{}", describe(account));
        }
        Ok(0)
    }
}

/// `ratings: 10 read = 8 kept + 1 filtered (…) + 1 quarantined (…)`.
pub(super) fn describe(account: &Account) -> String {
    let count = |rows: i64| HumanCount(rows.unsigned_abs()).to_string();
    let mut line = format!(
        "{:<16} {:>12} read = {} kept",
        account.table,
        count(account.read),
        count(account.kept)
    );
    for (fate, reason, rows) in &account.dropped {
        line.push_str(&format!(" + {} {fate} ({reason})", count(*rows)));
    }
    line
}
