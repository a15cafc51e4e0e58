//! `usermirror status`

use clap::Args;
use datafusion::common::TableReference;

use super::Global;
use crate::error::Result;
use crate::report;

/// Arguments of `status`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  usermirror status
  usermirror --root s3://bucket/lake status

It reads the tables alone, so it works from anywhere, while a run goes on elsewhere. The
queries are in sql/status; `SELECT * FROM commits()` shows every commit.")]
pub struct Arguments {}

impl Arguments {
    pub(super) async fn execute(self, global: &Global) -> Result<u8> {
        let session = global.session().await?;
        match session.lake.holder().await? {
            Some((holder, age)) => {
                let heard = age.map(|age| format!(", last heard of {} s ago", age.as_secs()));
                println!(
                    "run {} writes: `{}`, process {} on {}, since {}{}",
                    holder.run,
                    holder.what,
                    holder.pid,
                    holder.host,
                    holder.since,
                    heard.unwrap_or_default()
                );
            }
            None => println!("no run writes to {}", session.lake.location()),
        }
        for script in session.scripts.folder("sql/status")? {
            let mut there = true;
            for table in script.list("inputs") {
                there &= session.lake.contains(&TableReference::from(table)).await?;
            }
            if there {
                report::print_one(&session, &script).await?;
            }
        }
        Ok(0)
    }
}
