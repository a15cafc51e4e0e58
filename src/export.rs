//! Export: the preference pairs as a Hugging Face dataset folder.

use std::path::Path;

use datafusion::arrow::datatypes::{DataType, Field};
use datafusion::dataframe::DataFrameWriteOptions;
use datafusion::prelude::DataFrame;

use crate::error::{Error, Result};
use crate::session::Session;

/// Writes the rows of `sql/export/<format>.sql` to `to` and returns how many there are.
///
/// # Errors
/// Fails when there are no preferences yet or the folder cannot be written.
pub async fn export(session: &Session, format: &str, to: &Path) -> Result<usize> {
    if session.ctx.table("preferences").await.is_err() {
        return Err(Error::Usage(format!(
            "{} has no preferences yet; first run: usermirror run",
            session.lake.location()
        )));
    }
    let script = session.scripts.file(&format!("sql/export/{format}.sql"))?;
    let Some(rows) = script.run(&session.ctx).await? else {
        return Err(Error::Failed(format!(
            "{}: ends without a query",
            script.path
        )));
    };
    let count = rows.clone().count().await?;
    let card = card(format, &rows, count);

    let data = to.join("data");
    std::fs::create_dir_all(&data).map_err(|e| Error::file(&data, e))?;
    // Written beside the target and renamed, so that a reader never sees half a file.
    let partial = data.join(".partial.parquet");
    rows.write_parquet(
        &partial.to_string_lossy(),
        DataFrameWriteOptions::new().with_single_file_output(true),
        None,
    )
    .await?;
    let target = data.join("train-00000-of-00001.parquet");
    std::fs::rename(&partial, &target).map_err(|e| Error::file(&target, e))?;
    let readme = to.join("README.md");
    std::fs::write(&readme, card).map_err(|e| Error::file(&readme, e))?;
    Ok(count)
}

/// The dataset card: YAML that the Hub's viewer and `load_dataset` read, and a text.
fn card(format: &str, rows: &DataFrame, count: usize) -> String {
    let mut features = String::new();
    for field in rows.schema().fields() {
        describe(field, 2, &mut features);
    }
    format!(
        "---\n\
         tags:\n- recommendation\n- preference\n- user-simulation\n\
         configs:\n- config_name: default\n  data_files:\n  - split: train\n    path: data/train-*\n\
         dataset_info:\n  features:\n{features}  splits:\n  - name: train\n    num_examples: {count}\n\
         ---\n\n\
         # Preference pairs for a user simulator\n\n\
         {count} rows in the `{format}` form, made by usermirror {} from recommender logs. \
         Prompts with long histories exceed the usual default lengths of trainers: set the \
         maximum length to 8192 tokens.\n",
        env!("CARGO_PKG_VERSION")
    )
}

/// One feature in the card's YAML, nested ones below it.
fn describe(field: &Field, indent: usize, out: &mut String) {
    let pad = " ".repeat(indent);
    out.push_str(&format!("{pad}- name: {}\n", field.name()));
    match field.data_type() {
        DataType::List(inner) | DataType::ListView(inner) => match inner.data_type() {
            DataType::Struct(fields) => {
                out.push_str(&format!("{pad}  list:\n"));
                for field in fields {
                    describe(field, indent + 2, out);
                }
            }
            simple => out.push_str(&format!("{pad}  list: {}\n", feature_type(simple))),
        },
        simple => out.push_str(&format!("{pad}  dtype: {}\n", feature_type(simple))),
    }
}

fn feature_type(data_type: &DataType) -> &'static str {
    match data_type {
        DataType::Int64 | DataType::UInt64 => "int64",
        DataType::Int32 => "int32",
        DataType::Float64 => "float64",
        DataType::Timestamp(..) => "timestamp[us]",
        _ => "string",
    }
}
