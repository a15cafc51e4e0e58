//! The dataset card: YAML that the Hub's viewer and `load_dataset` read, and a text that
//! says how the rows were made, from the queries of `sql/card`.

use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::datatypes::{DataType, Field, Schema, TimeUnit};
use datafusion::arrow::util::display::{ArrayFormatter, FormatOptions};
use datafusion::error::DataFusionError;
use datafusion::prelude::{col, lit};

use super::{Exported, Format};
use crate::error::Result;
use crate::session::Session;

/// The card of a folder in form `format` whose files have `schema`.
pub(super) async fn card(
    session: &Session,
    format: Format,
    license: &str,
    schema: &Schema,
    exported: Exported,
) -> Result<String> {
    let (title, about) = describe(format);
    Ok(format!(
        "---\n{}---\n\n# {title}\n\n{} rows in the `{}` form, made by usermirror {}. {about}\n\n\
         ```python\nfrom datasets import load_dataset\n\n\
         rows = load_dataset(\"FOLDER\", split=\"{}\")\n```\n\n\
         Prompts with long histories exceed the default lengths of trainers and servers: set the \
         maximum length to 8,192 tokens.\n\n\
         The texts come from the logs of the datasets below and keep their terms.\n\n\
         ## How it was made\n\n{}",
        yaml(format, license, schema, exported),
        exported.rows,
        format.name(),
        env!("CARGO_PKG_VERSION"),
        format.split(),
        origin(session, format).await?
    ))
}

/// The title, and what a row is.
fn describe(format: Format) -> (&'static str, &'static str) {
    match format {
        Format::Trl | Format::Messages => (
            "Preference pairs for a user simulator",
            "A row is one logged choice: a prompt with what the user remembers and the options \
             shown, an answer that ends in the option really chosen, and one that does not.",
        ),
        Format::Sft => (
            "Conversations for a user simulator",
            "A row is one logged choice: a prompt with what the user remembers and the options \
             shown, and an answer that ends in the option really chosen.",
        ),
        Format::Evaluation => (
            "Held-out choices for user simulators",
            "A row is one logged choice: what the user remembers, the options shown, and the \
             place (`item_pos`, from 0) of the one really chosen.",
        ),
    }
}

fn yaml(format: Format, license: &str, schema: &Schema, exported: Exported) -> String {
    let (title, _) = describe(format);
    let split = format.split();
    let mut features = String::new();
    for field in schema.fields() {
        feature(field, 2, &mut features);
    }
    let Exported {
        rows,
        row_bytes,
        file_bytes,
        ..
    } = exported;
    format!(
        "license: {license}\n\
         pretty_name: {title}\n\
         task_categories:\n- text-generation\n\
         tags:\n- recommendation\n- user-simulation\n- preference\n- usermirror\n\
         size_categories:\n- {}\n\
         configs:\n- config_name: default\n  data_files:\n  - split: {split}\n    \
         path: data/{split}-*\n\
         dataset_info:\n  features:\n{features}  splits:\n  - name: {split}\n    \
         num_bytes: {row_bytes}\n    num_examples: {rows}\n  download_size: {file_bytes}\n  \
         dataset_size: {row_bytes}\n",
        size_category(rows)
    )
}

/// One feature in the card's YAML, nested ones below it.
fn feature(field: &Field, indent: usize, out: &mut String) {
    let pad = " ".repeat(indent);
    out.push_str(&format!("{pad}- name: {}\n", field.name()));
    match field.data_type() {
        DataType::Struct(fields) => {
            out.push_str(&format!("{pad}  struct:\n"));
            for field in fields {
                feature(field, indent + 2, out);
            }
        }
        DataType::List(item) => match item.data_type() {
            DataType::Struct(fields) => {
                out.push_str(&format!("{pad}  list:\n"));
                for field in fields {
                    feature(field, indent + 2, out);
                }
            }
            simple => out.push_str(&format!("{pad}  list: {}\n", value_type(simple))),
        },
        simple => out.push_str(&format!("{pad}  dtype: {}\n", value_type(simple))),
    }
}

/// The name that the `datasets` library has for a type without parts.
fn value_type(data_type: &DataType) -> String {
    match data_type {
        DataType::Boolean => "bool".to_owned(),
        DataType::Utf8 => "string".to_owned(),
        DataType::Timestamp(unit, zone) => {
            let unit = match unit {
                TimeUnit::Second => "s",
                TimeUnit::Millisecond => "ms",
                TimeUnit::Microsecond => "us",
                TimeUnit::Nanosecond => "ns",
            };
            let zone = zone.as_ref().map(|zone| format!(", tz={zone}"));
            format!("timestamp[{unit}{}]", zone.unwrap_or_default())
        }
        // Arrow's names of numbers are the library's, in capitals.
        other => other.to_string().to_lowercase(),
    }
}

fn size_category(rows: usize) -> &'static str {
    match rows {
        0..1_000 => "n<1K",
        1_000..10_000 => "1K<n<10K",
        10_000..100_000 => "10K<n<100K",
        100_000..1_000_000 => "100K<n<1M",
        1_000_000..10_000_000 => "1M<n<10M",
        _ => "10M<n<100M",
    }
}

/// The answers of `sql/card`, each a table below the comment of its file. They look at
/// `exported`, the rows' scenarios, and `made`, what the ledger has on their tables.
async fn origin(session: &Session, format: Format) -> Result<String> {
    let session = session.sister().await?;
    let mut exported = session.ctx.table(format.table()).await?;
    let mut tables = vec![
        "scenarios",
        "decisions",
        "scores",
        "uncertainty",
        "preferences",
    ];
    if format == Format::Evaluation {
        exported = exported.filter(col("split").eq(lit("eval")))?;
        tables.truncate(1);
    }
    let tables = tables.into_iter().map(lit).collect();
    let made = session.ctx.table("runs").await?;
    let made = made.filter(col("output").in_list(tables, false))?;
    session
        .ctx
        .register_table("exported", exported.into_view())?;
    session.ctx.register_table("made", made.into_view())?;
    let mut text = String::new();
    for script in session.scripts.folder("sql/card")? {
        let Some(rows) = script.run(&session.ctx).await? else {
            continue;
        };
        let batches = rows.collect().await?;
        if batches.iter().any(|batch| batch.num_rows() > 0) {
            text.push_str(&format!(
                "{}\n\n{}\n",
                script.comment(),
                markdown(&batches)?
            ));
        }
    }
    Ok(text)
}

/// Rows as a Markdown table.
fn markdown(batches: &[RecordBatch]) -> Result<String> {
    let mut lines = vec![];
    let options = FormatOptions::default();
    for batch in batches {
        if lines.is_empty() {
            let schema = batch.schema();
            let names = schema.fields().iter().map(|field| field.name().clone());
            lines.push(line(names));
            lines.push(line(std::iter::repeat_n(
                "---".to_owned(),
                batch.num_columns(),
            )));
        }
        let columns: Result<Vec<_>, _> = batch
            .columns()
            .iter()
            .map(|column| ArrayFormatter::try_new(column, &options))
            .collect();
        let columns = columns.map_err(DataFusionError::from)?;
        for row in 0..batch.num_rows() {
            lines.push(line(
                columns
                    .iter()
                    .map(|column| cell(&column.value(row).to_string())),
            ));
        }
    }
    Ok(lines.concat())
}

fn line(cells: impl Iterator<Item = String>) -> String {
    format!("| {} |\n", cells.collect::<Vec<_>>().join(" | "))
}

/// Text that stays inside its cell: names of datasets are anyone's.
fn cell(text: &str) -> String {
    text.replace(char::is_control, " ").replace('|', "\\|")
}
