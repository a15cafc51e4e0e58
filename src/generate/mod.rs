//! Generate: an invented dataset, in a publisher's raw format.
//!
//! [`world`] simulates users who choose by a known policy; a dataset's `demo.sql` writes
//! what they did in that dataset's raw format, one view a file, its lines as bytes. Nothing
//! but the catalogue is held in memory: lives are simulated while their rows are written.

mod catalogue;
mod chunks;
mod draws;
mod files;
mod friends;
mod life;
pub mod odds;
mod population;
mod tables;
pub mod world;

use std::path::Path;

use datafusion::dataframe::DataFrameWriteOptions;
use datafusion::prelude::SessionContext;

use crate::datasets::Dataset;
use crate::error::{Error, Result};
use crate::ingest::enter_schema;
use crate::progress::Step;
use crate::session::Session;
pub use catalogue::ITEM_COUNT;
use world::World;

/// Writes `world` to the folder `to` as raw files of `dataset`, and the policy behind it
/// to `to/policy`. Returns each file's path below `to` and its number of lines.
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
    enter_schema(&session, "demo_world")?;
    tables::register(ctx, world)?;
    let script = session.scripts.file(&dataset.script("demo.sql"))?;
    script.run(ctx).await?;

    std::fs::create_dir_all(to).map_err(|e| Error::file(to, e))?;
    let mut written = vec![];
    for file in files::file_views(relations(ctx)?, dataset.variant())? {
        let step = Step::start(&format!("writing {}", file.path));
        let lines = files::write(ctx, &file, to).await?;
        step.finish(lines);
        written.push((file.path, lines));
    }
    write_policy(ctx, to).await?;
    Ok(written)
}

/// The world's tables and what `demo.sql` made of them.
fn relations(ctx: &SessionContext) -> Result<Vec<String>> {
    let options = ctx.state().config().options().catalog.clone();
    let schema = ctx
        .catalog(&options.default_catalog)
        .and_then(|catalog| catalog.schema(&options.default_schema))
        .ok_or_else(|| Error::Failed("the demo world's schema is gone".to_owned()))?;
    Ok(schema.table_names())
}

/// Tastes, qualities and moods, from which the best possible accuracy can be computed.
async fn write_policy(ctx: &SessionContext, to: &Path) -> Result<()> {
    let folder = to.join("policy");
    std::fs::create_dir_all(&folder).map_err(|e| Error::file(&folder, e))?;
    for (file, query) in [
        ("users.parquet", "SELECT * FROM world_users ORDER BY user"),
        ("items.parquet", "SELECT * FROM world_items ORDER BY item"),
        (
            "events.parquet",
            "SELECT * EXCEPT (page) FROM world_events ORDER BY event",
        ),
    ] {
        let step = Step::start(&format!("writing policy/{file}"));
        let path = folder.join(file);
        if path.exists() {
            std::fs::remove_file(&path).map_err(|e| Error::file(&path, e))?;
        }
        let options = DataFrameWriteOptions::new().with_single_file_output(true);
        let rows = ctx.sql(query).await?;
        rows.write_parquet(&path.to_string_lossy(), options, None)
            .await?;
        step.end("");
    }
    Ok(())
}
