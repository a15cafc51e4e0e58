//! A dataset's tables: one Parquet file each, sorted, whose row groups carry statistics.
//!
//! One file and not a folder of them, so that a table is replaced by one upload; a filter
//! on the sort key then skips row groups as it would skip files.

use datafusion::datasource::file_format::parquet::ParquetFormat;
use datafusion::datasource::listing::{
    ListingOptions, ListingTable, ListingTableConfig, ListingTableUrl,
};
use datafusion::error::DataFusionError;
use datafusion::execution::{SendableRecordBatchStream, SessionState};
use datafusion::parquet::arrow::AsyncArrowWriter;
use datafusion::parquet::basic::{Compression, ZstdLevel};
use datafusion::parquet::file::properties::WriterProperties;
use datafusion::prelude::col;
use futures::StreamExt;
use object_store::buffered::BufWriter;
use object_store::path::Path;
use url::Url;

use super::store::Root;
use crate::error::{Error, Result};

/// How the files' names end.
pub const ENDING: &str = ".parquet";

/// Rows of a row group: few enough for a filter to skip most of a large table.
const GROUP_ROWS: usize = 128 * 1024;

/// The file at `address` as a table.
///
/// # Errors
/// Fails when the file's footer cannot be read.
pub async fn open(
    state: &SessionState,
    address: &Url,
    name: &str,
) -> datafusion::error::Result<ListingTable> {
    let mut options = ListingOptions::new(std::sync::Arc::new(ParquetFormat::default()));
    if name == "interactions" {
        // Ingest writes them so; each user's events then need no sort.
        let order = ["user_id", "ts", "row"].map(|name| col(name).sort(true, false));
        options = options.with_file_sort_order(vec![order.to_vec()]);
    }
    let config = ListingTableConfig::new(ListingTableUrl::parse(address)?)
        .with_listing_options(options)
        .infer_schema(state)
        .await?;
    ListingTable::try_new(config)
}

/// Replaces the file at `path` by the rows of `stream`, encoded as Parquet, and returns
/// how many there are.
///
/// # Errors
/// Fails when the stream or the storage fails; the old file then stays.
pub async fn write(
    root: &Root,
    path: &Path,
    stream: &mut SendableRecordBatchStream,
) -> Result<u64> {
    let mut upload = BufWriter::new(std::sync::Arc::clone(&root.store), path.clone());
    let properties = WriterProperties::builder()
        .set_compression(Compression::ZSTD(ZstdLevel::default()))
        .set_max_row_group_row_count(Some(GROUP_ROWS))
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
pub fn refused(path: &Path, error: &dyn std::fmt::Display) -> Error {
    Error::Failed(format!(
        "{path} could not be written, the table stays as it was: {error}. Look at the free space \
         and the rights there, then run the same command again"
    ))
}
