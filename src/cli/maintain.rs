//! `usermirror maintain`

use std::time::Duration;

use clap::Args;

use super::Global;
use crate::error::Result;
use crate::lake::lease::Holder;

/// Arguments of `maintain`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  usermirror maintain
  usermirror --root s3://bucket/lake maintain --keep-hours 24

It takes the root's lease: while a run writes, it exits with 75 and touches nothing.
Queries that are running keep their files for --keep-hours.")]
pub struct Arguments {
    /// Keep files that a table no longer needs for so long, for time travel and running queries
    #[arg(long, value_name = "HOURS", default_value_t = 168)]
    keep_hours: u64,
}

impl Arguments {
    pub(super) async fn execute(self, global: &Global) -> Result<u8> {
        let session = global.session().await?;
        let lake = &session.lake;
        let retention = Duration::from_secs(self.keep_hours * 3600);
        let holder = Holder::this(&session.run, "maintain");
        let done = lake
            .writing(holder, async || lake.maintain(retention).await)
            .await?;
        for upkeep in done {
            println!(
                "{:<24} {} files made {}, {} removed",
                upkeep.table, upkeep.files_compacted, upkeep.files_written, upkeep.files_removed
            );
        }
        Ok(0)
    }
}
