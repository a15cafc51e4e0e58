//! Baselines: what can be guessed of held-out scenarios without a language model.
//!
//! Each is a file of SQL that scores every option: `baseline, scenario_id, place, score,
//! prob`, the last one null where scores are no probabilities. One that reads a dataset's
//! own tables is run once a dataset, with these tables before the others.

use std::path::PathBuf;

use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::datatypes::DataType;
use datafusion::common::TableReference;
use datafusion::datasource::MemTable;
use datafusion::prelude::{cast as cast_expr, col};

use super::declared::Declared;
use super::units::texts;
use super::whole::{hold, perform};
use crate::error::{Error, Result};
use crate::ingest::enter_schema;
use crate::scripts::Script;
use crate::session::Session;

/// The columns of a scored option.
const COLUMNS: [(&str, DataType); 5] = [
    ("baseline", DataType::Utf8),
    ("scenario_id", DataType::Utf8),
    ("place", DataType::Int64),
    ("score", DataType::Float64),
    ("prob", DataType::Float64),
];

/// Makes the table `baselines`, of the built-in ones and those in the files `more`.
///
/// # Errors
/// Fails when there are no scenarios, and when a file's query does.
pub async fn make(session: &Session, more: &[PathBuf]) -> Result<()> {
    if !session
        .lake
        .contains(&TableReference::bare("scenarios"))
        .await?
    {
        return Err(Error::Usage(format!(
            "{} has no scenarios to evaluate on; make them by usermirror run --until scenarios, or \
             bring them by usermirror import evaluation",
            session.lake.location()
        )));
    }
    let mut baselines = session.scripts.folder("sql/evaluate/baselines")?;
    for path in more {
        baselines.push(Script::read(path)?);
    }
    let verdict = session.scripts.file("sql/evaluate/30_baselines.sql")?;
    let datasets = datasets(session).await?;
    let mut inputs = vec![TableReference::bare("scenarios")];
    for dataset in &datasets {
        inputs.push(TableReference::partial(dataset.as_str(), "interactions"));
        inputs.push(TableReference::partial(dataset.as_str(), "items"));
    }
    let mut scripts = baselines.clone();
    for baseline in &baselines {
        scripts.extend(needed(session, baseline)?);
        let others = baseline.list("inputs").into_iter();
        inputs.extend(
            others
                .filter(|table| table.contains('.'))
                .map(TableReference::from),
        );
    }
    scripts.push(verdict.clone());
    session.parameters.set("dataset", "")?;
    let step = Declared::new(scripts, &session.parameters)?;
    perform(session, &step, &inputs, async || {
        let mut scored = vec![];
        for baseline in &baselines {
            scored.extend(score(session, baseline, &datasets).await?);
        }
        let session = session.sister().await?;
        let schema = scored.first().map(RecordBatch::schema);
        let schema = schema.ok_or_else(|| Error::Failed("there is no baseline".to_owned()))?;
        let table = MemTable::try_new(schema, vec![scored])?;
        session
            .ctx
            .register_table("scored", std::sync::Arc::new(table))?;
        let rows = verdict.run(&session.ctx).await?;
        let rows = rows.ok_or_else(|| Error::Failed(format!("{} has no query", verdict.path)))?;
        hold(&session, "baselines", rows).await
    })
    .await
}

/// The datasets of the scenarios whose own tables are in the lake.
async fn datasets(session: &Session) -> Result<Vec<String>> {
    let rows = session.ctx.table("scenarios").await?;
    let rows = rows.select(vec![col("dataset")])?.distinct()?;
    let mut datasets = vec![];
    for dataset in texts(rows.sort(vec![col("dataset").sort(true, true)])?).await? {
        let table = TableReference::partial(dataset[0].as_str(), "interactions");
        if session.lake.contains(&table).await? {
            datasets.extend(dataset);
        }
    }
    Ok(datasets)
}

/// The files that `baseline` says come before it.
fn needed(session: &Session, baseline: &Script) -> Result<Vec<Script>> {
    let needed = baseline.list("needs").into_iter();
    needed.map(|path| session.scripts.file(path)).collect()
}

/// The options that `baseline` scores.
async fn score(
    session: &Session,
    baseline: &Script,
    datasets: &[String],
) -> Result<Vec<RecordBatch>> {
    if !baseline.list("inputs").contains(&"interactions") {
        return score_in(session, baseline, None).await;
    }
    let mut scored = vec![];
    for dataset in datasets {
        scored.extend(score_in(session, baseline, Some(dataset)).await?);
    }
    Ok(scored)
}

async fn score_in(
    session: &Session,
    baseline: &Script,
    dataset: Option<&String>,
) -> Result<Vec<RecordBatch>> {
    let session = session.sister().await?;
    if let Some(dataset) = dataset {
        enter_schema(&session, dataset)?;
        session.parameters.set("dataset", dataset)?;
    }
    for script in needed(&session, baseline)? {
        script.run(&session.ctx).await?;
    }
    let rows = baseline.run(&session.ctx).await?;
    let rows = rows.ok_or_else(|| Error::Usage(format!("{} has no query", baseline.path)))?;
    let columns = COLUMNS.map(|(name, data_type)| cast_expr(col(name), data_type).alias(name));
    let rows = rows.select(columns)?.collect().await;
    rows.map_err(|e| Error::Query(e.context(baseline.path.clone())))
}
