//! `usermirror ingest`

use std::path::PathBuf;

use clap::Args;
use indicatif::HumanCount;

use super::Global;
use crate::error::Result;
use crate::ingest::{Account, ingest};

/// Arguments of `ingest`.
#[derive(Debug, Args)]
#[command(after_help = "Example:
  usermirror ingest movielens --from ml-1m

Files may be gzipped (ratings.dat.gz). Rows that make no sense go to the table
<dataset>.quarantine with file, line and reason; look at them with
  usermirror sql -c 'SELECT reason, count(*) FROM movielens.quarantine GROUP BY reason'")]
pub struct Arguments {
    /// The dataset's name, a folder of datasets/
    dataset: String,
    /// The folder with the publisher's files
    #[arg(long, value_name = "DIR")]
    from: PathBuf,
    /// Fail on the first kind of bad row instead of putting it into quarantine
    #[arg(long)]
    strict: bool,
}

impl Arguments {
    pub(super) async fn execute(self, global: &Global) -> Result<u8> {
        let session = global.session().await?;
        let accounts = ingest(&session, &self.dataset, &self.from, self.strict).await?;
        for account in &accounts {
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
