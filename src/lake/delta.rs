//! The pipeline's tables: Delta tables, each a folder of Parquet files and a log of commits.
//!
//! A commit is one object that appears whole or not at all (`If-None-Match` on S3). Each
//! carries a [`Stamp`]: who made it, out of what, and what it cost. Because the stamp's mark
//! is unique, a writer that lost the answer to its commit can find out whether it counted.

use std::sync::Arc;

use datafusion::arrow::array::RecordBatch;
use datafusion::catalog::TableProvider;
use datafusion::execution::{SessionState, SessionStateBuilder};
use datafusion::parquet::basic::{Compression, ZstdLevel};
use datafusion::parquet::file::properties::WriterProperties;
use datafusion::prelude::SessionConfig;
use deltalake_core::delta_datafusion::planner::DeltaPlanner;
use deltalake_core::kernel::CommitInfo;
use deltalake_core::kernel::transaction::CommitProperties;
use deltalake_core::logstore::{StorageConfig, default_logstore};
use deltalake_core::operations::write::SchemaMode;
use deltalake_core::protocol::SaveMode;
use deltalake_core::{DeltaTable, DeltaTableError};
use futures::TryStreamExt;
use object_store::prefix::PrefixStore;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::Lake;
use super::plain::plain;
use crate::error::{Error, Result};

/// The folder of a table's log.
pub const LOG: &str = "_delta_log";

/// Where a commit keeps its stamp.
const STAMP: &str = "usermirror";

/// Rows of a row group: few enough that a step which reads some scenarios of a table skips
/// the rest.
const GROUP_ROWS: usize = 4096;

/// Commits that change no row.
const UPKEEP: [&str; 5] = [
    "OPTIMIZE",
    "VACUUM START",
    "VACUUM END",
    "FSCK",
    "SET TBLPROPERTIES",
];

/// What a commit says of itself.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Stamp {
    /// Unique mark of the commit.
    pub mark: String,
    /// The run that made it.
    pub run: String,
    /// The step that made it: `scenarios`, `decisions/strong`, `import pipeline`, …
    pub step: String,
    /// Of a table written whole: the hash of what it was computed from. Of units added to a
    /// table: the hash of the step.
    pub fingerprint: String,
    /// Units of work in it: the keys whose rows it adds.
    pub units: u64,
    /// Units that the step still had to do after it.
    pub units_left: u64,
    /// Rows in it.
    pub rows: u64,
    /// Of those, rows with an `error`.
    pub errors: u64,
    /// Tokens of the prompts that models read for it.
    pub prompt_tokens: u64,
    /// Of those, tokens that were cached.
    pub cached_tokens: u64,
    /// Tokens that models wrote for it.
    pub generated_tokens: u64,
    /// Seconds since the run's commit before it, or since the step began.
    pub seconds: f64,
}

impl Stamp {
    /// Adds what `other` counted.
    pub fn add(&mut self, other: &Self) {
        self.units += other.units;
        self.rows += other.rows;
        self.errors += other.errors;
        self.prompt_tokens += other.prompt_tokens;
        self.cached_tokens += other.cached_tokens;
        self.generated_tokens += other.generated_tokens;
        self.seconds += other.seconds;
    }
}

/// A commit as the log tells it.
#[derive(Debug, Clone)]
pub struct Commit {
    /// Milliseconds since 1970, by the writer's clock.
    pub at: i64,
    /// `WRITE`, `OPTIMIZE`, …
    pub operation: String,
    /// The stamp; none when something else wrote the table.
    pub stamp: Option<Stamp>,
}

impl From<CommitInfo> for Commit {
    fn from(mut info: CommitInfo) -> Self {
        let stamp = info.info.remove(STAMP);
        Self {
            at: info.timestamp.unwrap_or_default(),
            operation: info.operation.unwrap_or_default(),
            stamp: stamp.and_then(|stamp| serde_json::from_value(stamp).ok()),
        }
    }
}

impl Lake {
    /// Replaces pipeline table `table` by `batches`, of which there is at least an empty
    /// one, in one commit.
    ///
    /// # Errors
    /// Fails when the storage refuses or another writer was quicker; the table then stays.
    pub async fn replace(
        &self,
        table: &str,
        batches: Vec<RecordBatch>,
        stamp: Stamp,
    ) -> Result<()> {
        self.commit(table, SaveMode::Overwrite, batches, stamp)
            .await
    }

    /// Adds `batches` to pipeline table `table`, which is made if missing, in one commit.
    /// New columns are null in the rows that were there, and missing ones in those added.
    ///
    /// # Errors
    /// Fails as [`Self::replace`] does, and when a column has another type than the table's.
    pub async fn append(&self, table: &str, batches: Vec<RecordBatch>, stamp: Stamp) -> Result<()> {
        self.commit(table, SaveMode::Append, batches, stamp).await
    }

    async fn commit(
        &self,
        table: &str,
        mode: SaveMode,
        batches: Vec<RecordBatch>,
        mut stamp: Stamp,
    ) -> Result<()> {
        self.check_lease().await?;
        stamp.mark = Uuid::now_v7().to_string();
        let batches = batches.iter().map(plain).collect::<Result<Vec<_>>>()?;
        let value = serde_json::to_value(&stamp).unwrap_or_default();
        // No second try at a later version: rows computed from one state of the table must
        // not land on another.
        let properties = CommitProperties::default()
            .with_metadata([(STAMP.to_owned(), value)])
            .with_max_retries(0);
        let before = self.newest(table).await?.unwrap_or(self.handle(table));
        let schema_mode = match mode {
            SaveMode::Append => SchemaMode::Merge,
            _ => SchemaMode::Overwrite,
        };
        let write = before
            .write(batches)
            .with_save_mode(mode)
            .with_schema_mode(schema_mode)
            .with_session_state(Arc::new(writing_session()))
            .with_writer_properties(writer_properties())
            .with_commit_properties(properties);
        match write.await {
            Ok(written) => {
                self.remember(table, written).await;
                Ok(())
            }
            // The answer may have been lost on its way after the commit was made.
            Err(_) if self.is_committed(table, &stamp.mark).await => Ok(()),
            Err(error) => Err(refused(table, &error)),
        }
    }

    async fn is_committed(&self, table: &str, mark: &str) -> bool {
        self.opened.lock().await.remove(table);
        let commits = self.commits(table, Some(8)).await.unwrap_or_default();
        let mut marks = commits.iter().filter_map(|commit| commit.stamp.as_ref());
        marks.any(|stamp| stamp.mark == mark)
    }

    /// Pipeline table `table` for SQL, as of now; none when it has not been made.
    ///
    /// # Errors
    /// Fails when its log cannot be read.
    pub async fn provider(&self, table: &str) -> Result<Option<Arc<dyn TableProvider>>> {
        let Some(opened) = self.newest(table).await? else {
            return Ok(None);
        };
        let snapshot = opened.snapshot().map_err(|e| self.broken(table, &e))?;
        let provider = opened
            .table_provider()
            .with_eager_snapshot(snapshot.snapshot().clone())
            .await?;
        Ok(Some(provider))
    }

    /// The last `limit` commits of pipeline table `table`, the newest first; none when the
    /// table has not been made.
    ///
    /// # Errors
    /// Fails when its log cannot be read.
    pub async fn commits(&self, table: &str, limit: Option<usize>) -> Result<Vec<Commit>> {
        let Some(opened) = self.newest(table).await? else {
            return Ok(vec![]);
        };
        let commits: Vec<CommitInfo> = opened
            .history(limit)
            .try_collect()
            .await
            .map_err(|e| self.broken(table, &e))?;
        Ok(commits.into_iter().map(Commit::from).collect())
    }

    /// The last commit that changed rows of `table`.
    ///
    /// # Errors
    /// Fails when its log cannot be read.
    pub async fn last_change_of(&self, table: &str) -> Result<Option<Commit>> {
        let changes = |commit: &Commit| !UPKEEP.contains(&commit.operation.as_str());
        // Mostly the newest commit is one; upkeep makes a few in a row.
        for limit in [Some(1), Some(8), None] {
            let commits = self.commits(table, limit).await?;
            if let Some(commit) = commits.into_iter().find(changes) {
                return Ok(Some(commit));
            }
        }
        Ok(None)
    }

    /// A mark of the last commit that changed rows of `table`.
    pub(super) async fn last_change(&self, table: &str) -> Result<String> {
        let commit = self.last_change_of(table).await?;
        let commit = commit.ok_or_else(|| Error::Failed(format!("{table}: no such table")))?;
        Ok(match commit.stamp {
            Some(stamp) => stamp.mark,
            None => format!("{} {}", commit.operation, commit.at),
        })
    }

    /// The table in its newest state; none when it has not been made.
    pub(super) async fn newest(&self, table: &str) -> Result<Option<DeltaTable>> {
        let known = self.opened.lock().await.get(table).cloned();
        let mut known = known.unwrap_or_else(|| self.handle(table));
        match known.update_state().await {
            Ok(()) => {
                self.remember(table, known.clone()).await;
                Ok(Some(known))
            }
            Err(DeltaTableError::NotATable(_)) => Ok(None),
            Err(_) if !self.contains(&table.into()).await? => Ok(None),
            Err(error) => Err(self.broken(table, &error)),
        }
    }

    async fn remember(&self, table: &str, state: DeltaTable) {
        let mut opened = self.opened.lock().await;
        opened.insert(table.to_owned(), state);
    }

    /// The table, not yet read.
    fn handle(&self, table: &str) -> DeltaTable {
        let folder = self.folder(table);
        let mut address = self.root.address(&folder);
        address.set_path(&format!("{}/", address.path()));
        let root = Arc::clone(&self.root.store);
        let inside = Arc::new(PrefixStore::new(Arc::clone(&root), folder));
        let log = default_logstore(inside, root, &address, &StorageConfig::default());
        DeltaTable::new(log)
    }

    fn broken(&self, table: &str, error: &DeltaTableError) -> Error {
        Error::Failed(format!(
            "table {table} cannot be read: {error}. Its log is {}; bring the damaged file back \
             from a copy, or move the table's folder away and run again to make it anew. Other \
             tables stay readable",
            self.root.address(&self.folder(table).join(LOG))
        ))
    }
}

/// One partition, so that rows keep their order; no statistics of the session's own.
fn writing_session() -> SessionState {
    SessionStateBuilder::new()
        .with_default_features()
        .with_config(SessionConfig::new().with_target_partitions(1))
        .with_query_planner(DeltaPlanner::new())
        .build()
}

fn writer_properties() -> WriterProperties {
    WriterProperties::builder()
        .set_compression(Compression::ZSTD(ZstdLevel::default()))
        .set_max_row_group_row_count(Some(GROUP_ROWS))
        .build()
}

fn refused(table: &str, error: &DeltaTableError) -> Error {
    match error {
        DeltaTableError::VersionAlreadyExists(_) | DeltaTableError::Transaction { .. } => {
            Error::Busy(format!(
                "table {table}: another writer committed at the same time ({error}); nothing of \
                 this commit was written. Run the same command again"
            ))
        }
        _ => Error::Failed(format!(
            "table {table} could not be written, it stays as it was: {error}. Look at the free \
             space, the rights and the credentials there, then run the same command again"
        )),
    }
}
