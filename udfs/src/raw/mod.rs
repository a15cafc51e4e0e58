//! Table functions that read publishers' raw files, exactly as published.
//!
//! No line is lost and none stops the read: a line that cannot be understood comes back
//! with its `error` and its `raw` text, and the columns it should have had are null.
//! Paths are relative to the raw folder of the session and cannot leave it; a path may be
//! a pattern (`**/behaviors.tsv`) and may name the session's variant (`{variant}.jsonl`).

mod columns;
mod csv_record;
mod files;
mod lines;
mod read_csv;
mod read_delimited;
mod read_lines;
mod rows;
mod table;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use datafusion::prelude::SessionContext;

pub use files::RawFolder;

/// Registers the table functions in `ctx`, reading from `folder`.
///
/// Without a folder they are still there, and say when called that none was given.
pub fn register(ctx: &SessionContext, folder: Arc<RawFolder>) {
    ctx.register_udtf(
        "read_csv",
        Arc::new(read_csv::ReadCsv::new(Arc::clone(&folder))),
    );
    ctx.register_udtf(
        "read_delimited",
        Arc::new(read_delimited::ReadDelimited::new(Arc::clone(&folder))),
    );
    ctx.register_udtf("read_lines", Arc::new(read_lines::ReadLines::new(folder)));
}
