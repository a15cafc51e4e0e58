//! The lake: every table of a project, one Parquet file each, under one root.
//!
//! `<root>/<table>.parquet` holds a pipeline table, `<root>/<dataset>/<table>.parquet`
//! a dataset's. A table is replaced whole or not at all: the upload becomes visible
//! when it completes, and an interrupted one leaves the old table in place.

use std::sync::Arc;

use datafusion::catalog::MemorySchemaProvider;
use datafusion::common::TableReference;
use datafusion::datasource::file_format::parquet::ParquetFormat;
use datafusion::datasource::listing::{
    ListingOptions, ListingTable, ListingTableConfig, ListingTableUrl,
};
use datafusion::error::DataFusionError;
use datafusion::execution::SendableRecordBatchStream;
use datafusion::parquet::arrow::AsyncArrowWriter;
use datafusion::parquet::basic::{Compression, ZstdLevel};
use datafusion::parquet::file::properties::WriterProperties;
use datafusion::prelude::{SessionContext, col};
use futures::{StreamExt, TryStreamExt};
use object_store::buffered::BufWriter;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};
use url::Url;

use crate::error::{Error, Result};

/// The schema (in SQL terms) that holds the pipeline's own tables.
pub const PIPELINE_SCHEMA: &str = "public";

/// A folder or bucket prefix with a project's tables.
#[derive(Debug, Clone)]
pub struct Lake {
    url: Url,
    prefix: Path,
    store: Arc<dyn ObjectStore>,
}

impl Lake {
    /// Opens `root`: a folder (made when missing) or an `s3://bucket/prefix`, for
    /// which the usual `AWS_*` variables apply.
    ///
    /// # Errors
    /// Fails when the folder cannot be made or the address is not understood.
    pub fn open(root: &str) -> Result<Self> {
        let url = if root.contains("://") {
            let slash = if root.ends_with('/') { "" } else { "/" };
            Url::parse(&format!("{root}{slash}"))
                .map_err(|e| Error::Usage(format!("--root {root}: {e}")))?
        } else {
            std::fs::create_dir_all(root).map_err(|e| Error::file(root, e))?;
            let folder = std::fs::canonicalize(root).map_err(|e| Error::file(root, e))?;
            Url::from_directory_path(&folder)
                .map_err(|()| Error::Usage(format!("--root {root}: not a folder")))?
        };
        let environment = std::env::vars().filter(|(name, _)| name.starts_with("AWS_"));
        let options = environment.map(|(name, value)| (name.to_ascii_lowercase(), value));
        let (store, prefix) = object_store::parse_url_opts(&url, options)?;
        Ok(Self {
            url,
            prefix,
            store: store.into(),
        })
    }

    /// Makes every table of the lake readable in `ctx`: pipeline tables by their
    /// name, dataset tables as `dataset.table`.
    ///
    /// # Errors
    /// Fails when the root cannot be listed or a table's footer cannot be read.
    pub async fn register(&self, ctx: &SessionContext) -> Result<()> {
        ctx.register_object_store(&self.url, Arc::clone(&self.store));
        let files: Vec<_> = self.store.list(Some(&self.prefix)).try_collect().await?;
        for file in files {
            if let Some(table) = self.table_of(&file.location) {
                self.register_table(ctx, &table).await?;
            }
        }
        Ok(())
    }

    /// Replaces `table` by the rows of `stream` and returns how many there are.
    ///
    /// # Errors
    /// Fails when the stream or the storage fails; the old table then stays.
    pub async fn write(
        &self,
        ctx: &SessionContext,
        table: &TableReference,
        mut stream: SendableRecordBatchStream,
    ) -> Result<u64> {
        let path = self.path(table);
        let upload = BufWriter::new(Arc::clone(&self.store), path.clone());
        let rows = write_parquet(upload, &path, &mut stream).await?;
        self.register_table(ctx, table).await?;
        Ok(rows)
    }

    /// Whether `table` has been written.
    ///
    /// # Errors
    /// Fails when the storage cannot be asked.
    pub async fn contains(&self, table: &TableReference) -> Result<bool> {
        match self.store.head(&self.path(table)).await {
            Ok(_) => Ok(true),
            Err(object_store::Error::NotFound { .. }) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// A change mark of `table`'s file, for the ledger's fingerprints.
    ///
    /// # Errors
    /// Fails when the table is missing.
    pub async fn version(&self, table: &TableReference) -> Result<String> {
        let meta = self.store.head(&self.path(table)).await?;
        Ok(format!(
            "{}-{}",
            meta.last_modified.timestamp_micros(),
            meta.size
        ))
    }

    /// Removes `table` from the lake and from `ctx`.
    ///
    /// # Errors
    /// Fails when the storage refuses.
    pub async fn remove(&self, ctx: &SessionContext, table: &TableReference) -> Result<()> {
        ctx.deregister_table(table.clone())?;
        Ok(self.store.delete(&self.path(table)).await?)
    }

    /// The address of the root, for messages.
    pub fn location(&self) -> String {
        match self.url.to_file_path() {
            Ok(path) => path.display().to_string(),
            Err(()) => self.url.to_string(),
        }
    }

    async fn register_table(&self, ctx: &SessionContext, table: &TableReference) -> Result<()> {
        let schema = table.schema().unwrap_or(PIPELINE_SCHEMA);
        create_schema(ctx, schema)?;
        let path = self.path(table);
        let mut address = self.url.clone();
        address.set_path(&format!("/{path}"));
        let mut options = ListingOptions::new(Arc::new(ParquetFormat::default()));
        if table.table() == "interactions" {
            // Ingest writes them so; each user's events then need no sort.
            let order = ["user_id", "ts", "row"].map(|name| col(name).sort(true, false));
            options = options.with_file_sort_order(vec![order.to_vec()]);
        }
        let config = ListingTableConfig::new(ListingTableUrl::parse(&address)?)
            .with_listing_options(options)
            .infer_schema(&ctx.state())
            .await?;
        let provider = Arc::new(ListingTable::try_new(config)?);
        ctx.deregister_table(table.clone())?;
        ctx.register_table(table.clone(), provider)?;
        Ok(())
    }

    fn path(&self, table: &TableReference) -> Path {
        let file = format!("{}.parquet", table.table());
        match table.schema() {
            None | Some(PIPELINE_SCHEMA) => self.prefix.clone().join(file),
            Some(dataset) => self.prefix.clone().join(dataset).join(file),
        }
    }

    fn table_of(&self, path: &Path) -> Option<TableReference> {
        let parts: Vec<_> = path.prefix_match(&self.prefix)?.collect();
        let (schema, file) = match parts.as_slice() {
            [file] => (PIPELINE_SCHEMA, file.as_ref()),
            [dataset, file] => (dataset.as_ref(), file.as_ref()),
            _ => return None,
        };
        let table = file.strip_suffix(".parquet")?;
        Some(TableReference::partial(schema, table))
    }
}

/// Makes SQL schema `name` in `ctx` unless it is there.
///
/// # Errors
/// Fails when the catalog refuses.
pub fn create_schema(ctx: &SessionContext, name: &str) -> Result<()> {
    let options = ctx.state().config().options().catalog.clone();
    let catalog = ctx
        .catalog(&options.default_catalog)
        .ok_or_else(|| Error::Failed("the session has no catalog".to_owned()))?;
    if catalog.schema(name).is_none() {
        catalog.register_schema(name, Arc::new(MemorySchemaProvider::new()))?;
    }
    Ok(())
}

/// Encodes `stream` as one Parquet file and completes the upload.
async fn write_parquet(
    mut upload: BufWriter,
    path: &Path,
    stream: &mut SendableRecordBatchStream,
) -> Result<u64> {
    let properties = WriterProperties::builder()
        .set_compression(Compression::ZSTD(ZstdLevel::default()))
        .build();
    let mut writer = AsyncArrowWriter::try_new(&mut upload, stream.schema(), Some(properties))
        .map_err(DataFusionError::from)?;
    let encoded = encode(&mut writer, path, stream).await;
    if let Err(error) = encoded {
        drop(writer);
        // The upload never completed, so the old table still stands; a failure to tidy up
        // must not hide the cause.
        upload.abort().await.ok();
        return Err(error);
    }
    // A failure from here on has ended the upload: there is nothing left to abort.
    let metadata = writer.close().await.map_err(|e| refused(path, &e))?;
    Ok(metadata.file_metadata().num_rows().unsigned_abs())
}

async fn encode(
    writer: &mut AsyncArrowWriter<&mut BufWriter>,
    path: &Path,
    stream: &mut SendableRecordBatchStream,
) -> Result<()> {
    while let Some(batch) = stream.next().await {
        writer.write(&batch?).await.map_err(|e| refused(path, &e))?;
    }
    Ok(())
}

/// What storage said when it would not take a table.
fn refused(path: &Path, error: &dyn std::fmt::Display) -> Error {
    Error::Failed(format!(
        "{path} could not be written, the table stays as it was: {error}. Look at the free space \
         and the rights there, then run the same command again"
    ))
}
