//! What a finished run tells: the queries of `sql/report`, printed.

use datafusion::arrow::array::AsArray;
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::DataType;
use datafusion::arrow::util::pretty::pretty_format_batches;
use datafusion::error::DataFusionError;

use crate::error::Result;
use crate::scripts::Script;
use crate::session::Session;

/// Prints each report query.
///
/// # Errors
/// Fails when a query does.
pub async fn print(session: &Session) -> Result<()> {
    for script in session.scripts.folder("sql/report")? {
        print_one(session, &script).await?;
    }
    Ok(())
}

/// Prints what the query of `script` gives: one text column as it is, anything else as a
/// table, nothing for no rows.
///
/// # Errors
/// Fails when the query does.
pub async fn print_one(session: &Session, script: &Script) -> Result<()> {
    let Some(rows) = script.run(&session.ctx).await? else {
        return Ok(());
    };
    let batches = rows.collect().await?;
    if batches.iter().all(|batch| batch.num_rows() == 0) {
        return Ok(());
    }
    let is_text = batches.iter().all(|batch| batch.num_columns() == 1);
    if !is_text {
        let table = pretty_format_batches(&batches).map_err(DataFusionError::from)?;
        println!("\n{}\n{table}", script.comment());
        return Ok(());
    }
    for batch in &batches {
        let column = cast(batch.column(0), &DataType::Utf8).map_err(DataFusionError::from)?;
        for text in column.as_string::<i32>().iter().flatten() {
            println!("\n{text}");
        }
    }
    Ok(())
}
