//! Units of work: what a keyed step has to do, and what is done already.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use datafusion::arrow::array::{Array, AsArray};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::DataType;
use datafusion::common::TableReference;
use datafusion::error::DataFusionError;
use datafusion::prelude::{DataFrame, Expr, col, lit};

use super::declared::{Condition, Declared};
use super::identity;
use crate::error::{Error, Result};
use crate::session::Session;

/// The column that tells what a row was computed from.
pub const FINGERPRINT: &str = "fingerprint";

/// The key of a unit: a text for every key column of its step.
pub type Key = Vec<String>;

/// What a keyed step has before it.
#[derive(Debug, Default)]
pub struct Units {
    /// Units to do, by key, each with the fingerprint that its rows will carry.
    pub missing: BTreeMap<Key, String>,
    /// Units that are done.
    pub done: usize,
    /// Units that the step once made and would not make now, by key and fingerprint.
    pub stale: BTreeSet<(Key, String)>,
}

impl Units {
    /// Compares the rows that `step`'s first input asks for with those that its output
    /// has. With `retry`, units that left an error are to be done again.
    ///
    /// # Errors
    /// Fails when a table is missing or lacks the key.
    pub async fn find(session: &Session, step: &Declared, retry: bool) -> Result<Self> {
        let of_step = identity::of_step(session, step)?;
        let mut asked = asked(session, step).await?;
        for fingerprint in asked.values_mut() {
            *fingerprint = identity::hash(&[&of_step, &*fingerprint]);
        }
        let mut missing: BTreeMap<_, _> = asked.into_iter().collect();
        let mut found = Self::default();
        for (key, fingerprint, failed) in made(session, step).await? {
            let wanted = missing.get(&key).is_some_and(|asked| *asked == fingerprint);
            if wanted && !(retry && failed) {
                missing.remove(&key);
                found.done += 1;
            } else {
                found.stale.insert((key, fingerprint));
            }
        }
        found.missing = missing;
        Ok(found)
    }
}

/// The units of the driving input, each with a hash of its rows' fingerprints.
async fn asked(session: &Session, step: &Declared) -> Result<HashMap<Key, String>> {
    let driving = TableReference::from(step.inputs[0].as_str());
    let table = session.ctx.table(driving.clone()).await?;
    let has = |column: &str| table.schema().has_column_with_unqualified_name(column);
    if let Some(lacking) = step.key.iter().find(|column| !has(column)) {
        return Err(Error::Usage(format!(
            "step {}: its first input {driving} lacks the key column {lacking}",
            step.name
        )));
    }
    let fingerprinted = has(FINGERPRINT);
    let mut columns = step.key.clone();
    if fingerprinted {
        columns.push(FINGERPRINT.to_owned());
    }
    let table = only(table, &step.units)?;
    let rows = texts(distinct(table, &columns)?).await?;
    let mut parts: BTreeMap<Key, Vec<String>> = BTreeMap::new();
    for mut row in rows {
        let fingerprint = fingerprinted.then(|| row.pop()).flatten();
        parts.entry(row).or_default().extend(fingerprint);
    }
    // A table that tells nothing of its rows is taken as one: any change makes all stale.
    let version = match fingerprinted {
        true => String::new(),
        false => session.lake.version(&driving).await?,
    };
    let hashed = parts.into_iter().map(|(key, mut parts)| {
        parts.push(version.clone());
        (key, identity::hash(&parts))
    });
    Ok(hashed.collect())
}

/// The units of the output that are the step's own, with their fingerprints and whether
/// one of their rows has an error.
async fn made(session: &Session, step: &Declared) -> Result<Vec<(Key, String, bool)>> {
    let output = TableReference::from(step.output.as_str());
    if !session.lake.contains(&output).await? {
        return Ok(vec![]);
    }
    let mut table = only(session.ctx.table(output).await?, &step.rows)?;
    let schema = table.schema().clone();
    let has = |column: &str| schema.has_column_with_unqualified_name(column);
    let mut needed = step.key.iter().map(String::as_str).chain([FINGERPRINT]);
    if let Some(lacking) = needed.find(|column| !has(column)) {
        return Err(Error::Usage(format!(
            "table {} lacks the column {lacking}, so step {} did not make it; move it away, or \
             give the step another output",
            step.output, step.name
        )));
    }
    let mut columns = step.key.clone();
    columns.push(FINGERPRINT.to_owned());
    if has("error") {
        table = table.with_column("failed", col("error").is_not_null())?;
        columns.push("failed".to_owned());
    }
    let mut units: BTreeMap<(Key, String), bool> = BTreeMap::new();
    for mut row in texts(distinct(table, &columns)?).await? {
        let failed = has("error") && row.pop().is_some_and(|failed| failed == "true");
        let fingerprint = row.pop().unwrap_or_default();
        *units.entry((row, fingerprint)).or_default() |= failed;
    }
    let units = units.into_iter();
    Ok(units
        .map(|((key, print), failed)| (key, print, failed))
        .collect())
}

/// The rows of `table` that have the values.
fn only(table: DataFrame, conditions: &[Condition]) -> Result<DataFrame> {
    let conditions = conditions.iter();
    let conditions = conditions.map(|wanted| col(&wanted.column).eq(lit(&wanted.value)));
    Ok(match conditions.reduce(Expr::and) {
        Some(condition) => table.filter(condition)?,
        None => table,
    })
}

/// The distinct rows of `columns`, in order.
fn distinct(table: DataFrame, columns: &[String]) -> Result<DataFrame> {
    let columns: Vec<_> = columns
        .iter()
        .map(|name| col(format!("\"{name}\"")))
        .collect();
    let order = columns.iter().map(|column| column.clone().sort(true, true));
    let order = order.collect();
    Ok(table.select(columns)?.distinct()?.sort(order)?)
}

/// The cells of `rows` as texts; null as the empty text.
///
/// # Errors
/// Fails when the query does.
pub async fn texts(rows: DataFrame) -> Result<Vec<Vec<String>>> {
    let mut texts = vec![];
    for batch in rows.collect().await? {
        let columns = batch.columns().iter();
        let columns = columns
            .map(|column| cast(column, &DataType::Utf8))
            .collect::<Result<Vec<_>, _>>()
            .map_err(DataFusionError::from)?;
        for row in 0..batch.num_rows() {
            let cells = columns.iter().map(|column| match column.is_null(row) {
                true => String::new(),
                false => column.as_string::<i32>().value(row).to_owned(),
            });
            texts.push(cells.collect());
        }
    }
    Ok(texts)
}
