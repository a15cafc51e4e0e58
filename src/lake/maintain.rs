//! Upkeep: small files are put together, and what nothing needs any more is removed.
//!
//! It runs under the lease, so no run is writing meanwhile. A reader that began before
//! keeps its files as long as they are younger than the retention.

use std::num::NonZeroU64;
use std::time::Duration;

use chrono::TimeDelta;
use datafusion::common::TableReference;
use deltalake_core::DeltaTableError;
use deltalake_core::operations::vacuum::VacuumMode;
use object_store::ObjectStoreExt;

use super::{Lake, PIPELINE_SCHEMA};
use crate::error::{Error, Result};

/// The size that compaction aims at.
const FILE_BYTES: NonZeroU64 = NonZeroU64::new(128 << 20).unwrap();

/// What upkeep did to a table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Upkeep {
    /// The table.
    pub table: String,
    /// Files that were put together.
    pub files_compacted: u64,
    /// Files that they became.
    pub files_written: u64,
    /// Files that nothing needs, removed.
    pub files_removed: usize,
}

impl Lake {
    /// Compacts every pipeline table, then removes files that have belonged to no state of
    /// it for `retention`, and what killed ingests left behind.
    ///
    /// # Errors
    /// Fails when the storage does; every table stays readable.
    pub async fn maintain(&self, retention: Duration) -> Result<Vec<Upkeep>> {
        let mut done = vec![];
        for table in self.tables().await? {
            if table.schema() == Some(PIPELINE_SCHEMA) {
                done.push(self.tend(table.table(), retention).await?);
            } else if table.table().starts_with("staged_") {
                done.push(self.clear(&table).await?);
            }
        }
        Ok(done)
    }

    async fn tend(&self, table: &str, retention: Duration) -> Result<Upkeep> {
        let failed = |error: DeltaTableError| {
            Error::Failed(format!(
                "table {table} could not be tended, its rows are as they were: {error}"
            ))
        };
        let Some(opened) = self.newest(table).await? else {
            return Err(Error::Failed(format!("{table}: no such table")));
        };
        let (opened, compacted) = opened
            .optimize()
            .with_target_size(FILE_BYTES)
            .await
            .map_err(failed)?;
        let age = TimeDelta::from_std(retention)
            .map_err(|e| Error::Usage(format!("--keep-hours: {e}")))?;
        let (_, vacuumed) = opened
            .vacuum()
            .with_mode(VacuumMode::Full)
            .with_retention_period(age)
            .with_enforce_retention_duration(false)
            .await
            .map_err(failed)?;
        Ok(Upkeep {
            table: table.to_owned(),
            files_compacted: compacted.num_files_removed,
            files_written: compacted.num_files_added,
            files_removed: vacuumed.files_deleted.len(),
        })
    }

    async fn clear(&self, staged: &TableReference) -> Result<Upkeep> {
        self.root.store.delete(&self.file(staged)).await?;
        Ok(Upkeep {
            table: staged.to_string(),
            files_compacted: 0,
            files_written: 0,
            files_removed: 1,
        })
    }
}
