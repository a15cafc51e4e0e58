//! The lake: every table of a project under one root, a folder or an S3 prefix.
//!
//! | file | what it does |
//! | --- | --- |
//! | `store` | where a root is |
//! | `parquet` | a dataset's tables: `<root>/<dataset>/<table>.parquet`, one file each |
//! | [`delta`] | the pipeline's tables: `<root>/<table>/`, Delta tables |
//! | `plain` | the types a Delta table can hold |
//! | `schema` | how SQL sees both: opened when a query names them |
//! | [`lease`] | one writer at a time |
//! | [`maintain`](mod@maintain) | compaction and removal of what nothing needs |
//!
//! A change of a table becomes visible whole or not at all; a reader never sees half.

pub mod delta;
pub mod lease;
pub mod maintain;
mod parquet;
mod plain;
mod schema;
mod store;

use std::collections::HashMap;
use std::sync::Arc;

use datafusion::common::TableReference;
use datafusion::execution::SendableRecordBatchStream;
use datafusion::prelude::SessionContext;
use deltalake_core::DeltaTable;
use futures::TryStreamExt;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};
use tokio::sync::{Mutex, RwLock};
use tracing::Instrument;

use crate::error::Result;
use lease::{Holder, Lease};
use store::Root;

/// The schema (in SQL terms) that holds the pipeline's own tables.
pub const PIPELINE_SCHEMA: &str = "public";

/// A folder or bucket prefix with a project's tables.
#[derive(Debug, Clone)]
pub struct Lake {
    root: Root,
    /// Delta tables opened before: their logs are read on from where they were.
    opened: Arc<Mutex<HashMap<String, DeltaTable>>>,
    /// The lease under which this process writes, while it does.
    lease: Arc<RwLock<Option<Lease>>>,
}

impl Lake {
    /// Opens `root`: a folder (made when missing) or an `s3://bucket/prefix`, for which the
    /// usual `AWS_*` variables, profiles and roles apply.
    ///
    /// # Errors
    /// Fails when the folder cannot be made, the address is not understood or no
    /// credentials can be had.
    pub async fn open(root: &str) -> Result<Self> {
        Ok(Self {
            root: Root::open(root).await?,
            opened: Arc::default(),
            lease: Arc::default(),
        })
    }

    /// Does `work`, which changes tables, while it holds the root's lease for `holder`.
    ///
    /// # Errors
    /// [`Error::Busy`](crate::Error::Busy) when another run writes; else as the work fails.
    pub async fn writing<T, F>(&self, holder: Holder, work: F) -> Result<T>
    where
        F: AsyncFnOnce() -> Result<T>,
    {
        let span = tracing::info_span!("run", run = holder.run, what = holder.what);
        let lease = self.take_lease(holder).await?;
        *self.lease.write().await = Some(lease);
        let done = work().instrument(span).await;
        if let Some(lease) = self.lease.write().await.take() {
            lease.release().await;
        }
        done
    }

    /// Makes every table of the lake readable in `ctx`: pipeline tables by their
    /// name, dataset tables as `dataset.table`. None is opened before a query names it.
    ///
    /// # Errors
    /// Fails when the root cannot be listed.
    pub async fn register(&self, ctx: &SessionContext) -> Result<()> {
        ctx.register_object_store(&self.root.url, Arc::clone(&self.root.store));
        let found = self.tables().await?;
        schema::register(self, ctx, PIPELINE_SCHEMA, &found)?;
        let mut datasets: Vec<_> = found.iter().filter_map(TableReference::schema).collect();
        datasets.retain(|schema| *schema != PIPELINE_SCHEMA);
        datasets.dedup();
        for dataset in datasets {
            schema::register(self, ctx, dataset, &found)?;
        }
        Ok(())
    }

    /// Makes SQL schema `name` in `ctx` unless it is there.
    ///
    /// # Errors
    /// Fails when the catalog refuses.
    pub fn create_schema(&self, ctx: &SessionContext, name: &str) -> Result<()> {
        if schema::find(ctx, name)?.is_none() {
            schema::register(self, ctx, name, &[])?;
        }
        Ok(())
    }

    /// Makes schema `name` of `ctx` blank: what the lake has there stays out of sight until
    /// it is written again.
    ///
    /// # Errors
    /// Fails when the catalog refuses.
    pub fn blank_schema(&self, ctx: &SessionContext, name: &str) -> Result<()> {
        self.create_schema(ctx, name)?;
        schema::hide(ctx, name)
    }

    /// Every table of the lake, sorted by schema.
    ///
    /// # Errors
    /// Fails when the root cannot be listed.
    pub async fn tables(&self) -> Result<Vec<TableReference>> {
        let mut tables = vec![];
        let listed = self.list(&self.root.prefix).await?;
        for folder in listed.common_prefixes {
            let Some(name) = folder.filename() else {
                continue;
            };
            let inside = self.list(&folder).await?;
            let is_log = |prefix: &Path| prefix.filename() == Some(delta::LOG);
            if inside.common_prefixes.iter().any(is_log) {
                tables.push(TableReference::partial(PIPELINE_SCHEMA, name));
                continue;
            }
            let files = inside.objects.iter();
            let files = files.filter_map(|file| file.location.filename());
            let found = files.filter_map(|file| file.strip_suffix(parquet::ENDING));
            tables.extend(found.map(|table| TableReference::partial(name, table)));
        }
        tables.sort_by_key(TableReference::to_string);
        Ok(tables)
    }

    async fn list(&self, folder: &Path) -> Result<object_store::ListResult> {
        Ok(self.root.store.list_with_delimiter(Some(folder)).await?)
    }

    /// Replaces a dataset's `table` by the rows of `stream` and returns how many there are.
    ///
    /// # Errors
    /// Fails when the stream or the storage fails; the old table then stays.
    pub async fn write(
        &self,
        ctx: &SessionContext,
        table: &TableReference,
        mut stream: SendableRecordBatchStream,
    ) -> Result<u64> {
        let rows = parquet::write(&self.root, &self.file(table), &mut stream).await?;
        self.create_schema(ctx, table.schema().unwrap_or(PIPELINE_SCHEMA))?;
        schema::show(ctx, table)?;
        Ok(rows)
    }

    /// Whether `table` has been written.
    ///
    /// # Errors
    /// Fails when the storage cannot be asked.
    pub async fn contains(&self, table: &TableReference) -> Result<bool> {
        if is_delta(table) {
            let log = self.folder(table.table()).join(delta::LOG);
            let first = self.root.store.list(Some(&log)).try_next().await?;
            return Ok(first.is_some());
        }
        match self.root.store.head(&self.file(table)).await {
            Ok(_) => Ok(true),
            Err(object_store::Error::NotFound { .. }) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// A mark that changes with `table`'s rows: for Delta tables the last commit that
    /// changed any (compaction changes none), for files their time and size.
    ///
    /// # Errors
    /// Fails when the table is missing.
    pub async fn version(&self, table: &TableReference) -> Result<String> {
        if is_delta(table) {
            return self.last_change(table.table()).await;
        }
        let meta = self.root.store.head(&self.file(table)).await?;
        Ok(format!(
            "{}-{}",
            meta.last_modified.timestamp_micros(),
            meta.size
        ))
    }

    /// Removes a dataset's `table` from the lake and from `ctx`.
    ///
    /// # Errors
    /// Fails when the storage refuses.
    pub async fn remove(&self, ctx: &SessionContext, table: &TableReference) -> Result<()> {
        ctx.deregister_table(table.clone())?;
        Ok(self.root.store.delete(&self.file(table)).await?)
    }

    /// The address of the root, for messages.
    pub fn location(&self) -> String {
        self.root.location()
    }

    /// The folder of a Delta table.
    fn folder(&self, table: &str) -> Path {
        self.root.prefix.clone().join(table)
    }

    /// The file of a dataset's table.
    fn file(&self, table: &TableReference) -> Path {
        let schema = table.schema().unwrap_or(PIPELINE_SCHEMA);
        let file = format!("{}{}", table.table(), parquet::ENDING);
        self.root.prefix.clone().join(schema).join(file)
    }
}

/// Whether `table` is one of the pipeline's.
fn is_delta(table: &TableReference) -> bool {
    matches!(table.schema(), None | Some(PIPELINE_SCHEMA))
}
