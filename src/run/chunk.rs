//! A chunk of a keyed step: some units, computed together by the step's SQL.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, AsArray, RecordBatch, StringArray};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{DataType, Field, Schema};
use datafusion::common::JoinType;
use datafusion::error::DataFusionError;
use datafusion::prelude::{cast as cast_expr, col, lit};

use super::declared::Declared;
use super::units::{FINGERPRINT, Key};
use crate::error::{Error, Result};
use crate::session::Session;

/// Units of a step and the fingerprints that their rows will carry.
pub type Chunk = BTreeMap<Key, String>;

/// What a chunk gave.
#[derive(Debug)]
pub struct Made {
    /// Rows, with their fingerprints.
    pub batches: Vec<RecordBatch>,
    /// How many rows.
    pub rows: u64,
    /// Of those, how many have an `error`.
    pub errors: u64,
    /// How many units.
    pub units: u64,
}

/// Runs the SQL of `step` where its inputs show the units of `chunk` only.
///
/// # Errors
/// Fails when the SQL does, or gives rows of other units, or none for a unit.
#[tracing::instrument(name = "chunk", skip_all, fields(units = chunk.len()))]
pub async fn compute(session: &Session, step: &Declared, chunk: Chunk) -> Result<Made> {
    let session = session.sister().await?;
    for input in &step.inputs {
        narrow(&session, step, input, &chunk).await?;
    }
    let mut rows = None;
    for script in &step.scripts {
        rows = script.run(&session.ctx).await?;
    }
    let rows =
        rows.ok_or_else(|| Error::Failed(format!("the step {} ends without a query", step.name)))?;
    if rows.schema().has_column_with_unqualified_name(FINGERPRINT) {
        return Err(Error::Usage(format!(
            "step {}: leave the column {FINGERPRINT} out of the query; the run adds it",
            step.name
        )));
    }
    let mut answered = HashSet::new();
    let mut made = Made {
        batches: vec![],
        rows: 0,
        errors: 0,
        units: chunk.len() as u64,
    };
    for batch in rows.collect().await? {
        if let Some(errors) = batch.column_by_name("error") {
            made.errors += (errors.len() - errors.null_count()) as u64;
        }
        made.rows += batch.num_rows() as u64;
        made.batches
            .push(mark(step, &batch, &chunk, &mut answered)?);
    }
    if let Some(key) = chunk.keys().find(|key| !answered.contains(*key)) {
        return Err(Error::Failed(format!(
            "step {} gave no row for {} {}; a unit that cannot be done must leave a row with an \
             `error`, or it would be tried for ever",
            step.name,
            step.key.join(", "),
            key.join(", ")
        )));
    }
    Ok(made)
}

/// Hides the rows of table `input` that belong to other units.
async fn narrow(session: &Session, step: &Declared, input: &str, chunk: &Chunk) -> Result<()> {
    let table = session.ctx.table(input).await?;
    let places: Vec<_> = (0..step.key.len())
        .filter(|&place| {
            let schema = table.schema();
            schema.has_column_with_unqualified_name(&step.key[place])
        })
        .collect();
    let Some(&first) = places.first() else {
        return Ok(());
    };
    let part = |key: &Key| -> Key { places.iter().map(|&place| key[place].clone()).collect() };
    let wanted: BTreeSet<Key> = chunk.keys().map(part).collect();
    let names: Vec<_> = places.iter().map(|place| format!("unit_{place}")).collect();
    let names: Vec<_> = names.iter().map(String::as_str).collect();
    let keys: Vec<_> = places
        .iter()
        .map(|&place| step.key[place].as_str())
        .collect();

    // A range first: it lets whole files and row groups be skipped.
    let lowest = wanted.iter().map(|key| &key[0]).min();
    let highest = wanted.iter().map(|key| &key[0]).max();
    let mut rows = table;
    if let (Some(lowest), Some(highest)) = (lowest, highest) {
        let column = col(format!("\"{}\"", step.key[first]));
        let column = match rows
            .schema()
            .field_with_unqualified_name(&step.key[first])?
            .data_type()
        {
            DataType::Utf8 | DataType::Utf8View | DataType::LargeUtf8 => column,
            _ => cast_expr(column, DataType::Utf8),
        };
        rows = rows.filter(column.between(lit(lowest.as_str()), lit(highest.as_str())))?;
    }
    let units = session.ctx.read_batch(relation(&names, &wanted)?)?;
    let rows = rows.join(units, JoinType::LeftSemi, &keys, &names, None)?;
    session.ctx.deregister_table(input)?;
    session.ctx.register_table(input, rows.into_view())?;
    Ok(())
}

/// `keys` as a relation with the columns `names`.
pub fn relation(names: &[&str], keys: &BTreeSet<Key>) -> Result<RecordBatch> {
    let columns = (0..names.len()).map(|place| {
        let cells = keys.iter().map(|key| Some(key[place].as_str()));
        Arc::new(cells.collect::<StringArray>()) as ArrayRef
    });
    let fields = names
        .iter()
        .map(|name| Field::new(*name, DataType::Utf8, false));
    let schema = Schema::new(fields.collect::<Vec<_>>());
    let batch = RecordBatch::try_new(Arc::new(schema), columns.collect());
    Ok(batch.map_err(DataFusionError::from)?)
}

/// Adds to every row the fingerprint of its unit.
fn mark(
    step: &Declared,
    batch: &RecordBatch,
    chunk: &Chunk,
    answered: &mut HashSet<Key>,
) -> Result<RecordBatch> {
    let column = |name: &str| -> Result<ArrayRef> {
        let found = batch.column_by_name(name).ok_or_else(|| {
            Error::Failed(format!(
                "step {}: its query lacks the column {name}",
                step.name
            ))
        })?;
        Ok(cast(found, &DataType::Utf8).map_err(DataFusionError::from)?)
    };
    let keys = step.key.iter().map(|name| column(name));
    let keys = keys.collect::<Result<Vec<_>>>()?;
    let own = step.rows.iter();
    let own = own.map(|own| Ok((column(&own.column)?, &own.value)));
    let own = own.collect::<Result<Vec<_>>>()?;
    let mut prints = Vec::with_capacity(batch.num_rows());
    for row in 0..batch.num_rows() {
        let cell = |column: &ArrayRef| column.as_string::<i32>().value(row).to_owned();
        let key: Key = keys.iter().map(cell).collect();
        let print = chunk.get(&key).ok_or_else(|| {
            Error::Failed(format!(
                "step {} gave a row of {}, which is none of the units it was asked for",
                step.name,
                key.join(", ")
            ))
        })?;
        if let Some((column, value)) = own.iter().find(|(column, value)| cell(column) != **value) {
            return Err(Error::Failed(format!(
                "step {} gave a row that is not its own: it declares {value}, not {}",
                step.name,
                cell(column)
            )));
        }
        prints.push(print.as_str());
        if !answered.contains(&key) {
            answered.insert(key);
        }
    }
    let schema = batch.schema();
    let mut fields: Vec<_> = schema.fields().iter().cloned().collect();
    fields.push(Arc::new(Field::new(FINGERPRINT, DataType::Utf8, false)));
    let mut columns = batch.columns().to_vec();
    columns.push(Arc::new(StringArray::from(prints)));
    let marked = RecordBatch::try_new(Arc::new(Schema::new(fields)), columns);
    Ok(marked.map_err(DataFusionError::from)?)
}
