//! Generate: an invented dataset, in a publisher's raw format.
//!
//! [`world`] simulates users who choose by a known policy; a dataset's `demo.sql` writes
//! what they did in that dataset's raw format, one view a file, its lines as bytes.

mod catalogue;
mod draws;
pub mod odds;
mod population;
pub mod world;
mod world_tables;

use std::io::Write;
use std::path::Path;
use std::sync::Arc;

use datafusion::arrow::array::AsArray;
use datafusion::arrow::array::RecordBatch;
use datafusion::dataframe::DataFrameWriteOptions;
use datafusion::datasource::MemTable;
use datafusion::prelude::SessionContext;
use futures::StreamExt;

use crate::datasets::Dataset;
use crate::error::{Error, Result};
use crate::ingest::enter_schema;
use crate::session::Session;
use world::World;

/// Writes `world` to the folder `to` as raw files of `dataset`, and the policy behind it
/// to `to/policy`. Returns each file's name and number of lines.
///
/// # Errors
/// Fails on a dataset that has no `demo.sql` and on a folder that cannot be written.
pub async fn generate(
    session: &Session,
    dataset: &Dataset,
    world: &World,
    to: &Path,
) -> Result<Vec<(String, u64)>> {
    session.scripts.require_dataset(dataset)?;
    let session = session.sister().await?;
    let ctx = &session.ctx;
    enter_schema(ctx, "demo_world")?;
    let failed = |e| Error::Query(datafusion::error::DataFusionError::from(e));
    let tables = [
        ("world_users", world.world_users().map_err(failed)?),
        ("world_items", world.world_items().map_err(failed)?),
        ("world_events", world.world_events().map_err(failed)?),
    ];
    for (name, batch) in &tables {
        register(ctx, name, batch)?;
    }
    let script = session
        .scripts
        .file(&dataset.script("demo.sql"))?;
    script.run(ctx).await?;

    std::fs::create_dir_all(to).map_err(|e| Error::file(to, e))?;
    let mut written = vec![];
    for name in file_views(ctx)? {
        let lines = write_lines(ctx, &name, to).await?;
        written.push((name, lines));
    }
    write_policy(ctx, to).await?;
    Ok(written)
}

fn register(ctx: &SessionContext, name: &str, batch: &RecordBatch) -> Result<()> {
    let table = MemTable::try_new(batch.schema(), vec![vec![batch.clone()]])?;
    ctx.register_table(name, Arc::new(table))?;
    Ok(())
}

/// Views named like files: what `demo.sql` made.
fn file_views(ctx: &SessionContext) -> Result<Vec<String>> {
    let options = ctx.state().config().options().catalog.clone();
    let schema = ctx
        .catalog(&options.default_catalog)
        .and_then(|catalog| catalog.schema(&options.default_schema))
        .ok_or_else(|| Error::Failed("the demo world's schema is gone".to_owned()))?;
    let mut names = schema.table_names();
    names.retain(|name| name.contains('.') && !name.contains(['/', '\\']));
    names.sort();
    Ok(names)
}

/// Writes the `line` column of view `name` to the file of that name.
async fn write_lines(ctx: &SessionContext, name: &str, to: &Path) -> Result<u64> {
    let target = to.join(name);
    let partial = to.join(format!(".{name}.partial"));
    let failed = |e| Error::file(&partial, e);
    let mut file = std::io::BufWriter::new(std::fs::File::create(&partial).map_err(failed)?);
    let view = datafusion::common::TableReference::bare(name);
    let mut rows = ctx.table(view).await?.execute_stream().await?;
    let mut lines = 0;
    while let Some(batch) = rows.next().await {
        for line in batch?.column(0).as_binary::<i32>().iter().flatten() {
            file.write_all(line).map_err(failed)?;
            file.write_all(b"\n").map_err(failed)?;
            lines += 1;
        }
    }
    file.flush().map_err(failed)?;
    std::fs::rename(&partial, &target).map_err(|e| Error::file(&target, e))?;
    Ok(lines)
}

/// Tastes, qualities and moods, from which the best possible accuracy can be computed.
async fn write_policy(ctx: &SessionContext, to: &Path) -> Result<()> {
    let folder = to.join("policy");
    std::fs::create_dir_all(&folder).map_err(|e| Error::file(&folder, e))?;
    for (table, file) in [
        ("world_users", "users.parquet"),
        ("world_items", "items.parquet"),
        ("world_events", "events.parquet"),
    ] {
        let path = folder.join(file);
        if path.exists() {
            std::fs::remove_file(&path).map_err(|e| Error::file(&path, e))?;
        }
        let options = DataFrameWriteOptions::new().with_single_file_output(true);
        let rows = ctx.table(table).await?;
        rows.write_parquet(&path.to_string_lossy(), options, None)
            .await?;
    }
    Ok(())
}
