//! Builds `scenarios` from the tables of one or more datasets.

use datafusion::arrow::array::RecordBatch;
use datafusion::common::TableReference;
use datafusion::scalar::ScalarValue;

use super::declared::Declared;
use super::whole::{has_fingerprint, hold, perform};
use super::{check, identity};
use crate::datasets::Dataset;
use crate::error::{Error, Result};
use crate::ingest::enter_schema;
use crate::scripts::Script;
use crate::session::Session;

const TABLE: &str = "scenarios";

/// The model by whose vectors the content ranker compares items, where a session has it.
pub const ENCODER: &str = "encoder";

/// Builds, checks and writes the scenarios of `datasets`.
///
/// # Errors
/// Fails when a dataset has not been ingested or has too little to build from, and when a
/// check finds rows.
pub async fn build(session: &Session, datasets: &[Dataset]) -> Result<()> {
    let (step, inputs) = declare(session, datasets).await?;
    perform(session, &step, &inputs, async || {
        let mut built = vec![];
        for dataset in datasets {
            built.extend(build_one(session, dataset).await?);
        }
        Ok(built)
    })
    .await
}

/// What a run would do for the scenarios of `datasets`, in words.
///
/// # Errors
/// Fails as [`build`] does before it builds.
pub async fn state(session: &Session, datasets: &[Dataset]) -> Result<&'static str> {
    let (step, inputs) = declare(session, datasets).await?;
    let fingerprint = identity::of_table(session, &step, &inputs).await?;
    Ok(match has_fingerprint(session, TABLE, &fingerprint).await? {
        true => "up to date",
        false => "to be made",
    })
}

/// The step, and the datasets' tables that it reads.
async fn declare(
    session: &Session,
    datasets: &[Dataset],
) -> Result<(Declared, Vec<TableReference>)> {
    let mut inputs = vec![];
    let mut scripts = vec![];
    for dataset in datasets {
        session.scripts.require_dataset(dataset)?;
        require_ingested(session, dataset).await?;
        scripts.push(prompt_script(session, dataset)?);
        for table in ["users", "items", "interactions"] {
            inputs.push(TableReference::partial(dataset.key(), table));
        }
    }
    scripts.extend(method(session)?);
    let keys: Vec<_> = datasets.iter().map(Dataset::key).collect();
    session.parameters.set("dataset", &keys.join(","))?;
    let models = scripts.iter().flat_map(|script| script.list("models"));
    let models = models.map(str::to_owned).collect();
    let mut step = Declared::new(scripts, &session.parameters)?;
    step.models = models;
    Ok((step, inputs))
}

/// The files of `sql/scenarios`; with an encoder those of `sql/encoder` stand in for their
/// namesakes.
fn method(session: &Session) -> Result<Vec<Script>> {
    let mut scripts = session.scripts.folder("sql/scenarios")?;
    if session.models.get(ENCODER).is_ok() {
        for substitute in session.scripts.folder("sql/encoder")? {
            let place = scripts.iter().position(|s| s.stem() == substitute.stem());
            let place = place.ok_or_else(|| {
                Error::Failed(format!(
                    "{} has no namesake in sql/scenarios",
                    substitute.path
                ))
            })?;
            scripts[place] = substitute;
        }
    }
    Ok(scripts)
}

/// The scenarios of one dataset, in a session of their own.
async fn build_one(session: &Session, dataset: &Dataset) -> Result<Vec<RecordBatch>> {
    let session = session.sister().await?;
    let ctx = &session.ctx;
    enter_schema(&session, &dataset.key())?;
    session.parameters.set("dataset", &dataset.key())?;
    let mut scripts = method(&session)?;
    // The dataset renders its texts once options and history are known, and before
    // they are put together.
    let rendered = scripts
        .iter()
        .position(|script| script.stem() == "rendered");
    let place =
        rendered.ok_or_else(|| Error::Failed("sql/scenarios has no rendered.sql".to_owned()))?;
    scripts.insert(place, prompt_script(&session, dataset)?);
    let mut scenarios = None;
    for script in &scripts {
        scenarios = script.run(ctx).await?;
    }
    let Some(scenarios) = scenarios else {
        return Err(Error::Failed(
            "sql/scenarios ends without a query".to_owned(),
        ));
    };
    let held = hold(&session, TABLE, scenarios).await?;
    if held.iter().all(|batch| batch.num_rows() == 0) {
        return Err(Error::Failed(format!(
            "{dataset}: no interaction has {} earlier ones of the same user; ingest more of the \
             log, or lower earlier_min",
            session
                .parameters
                .get("earlier_min")
                .unwrap_or(ScalarValue::Null)
        )));
    }
    check(&session, "sql/checks/scenarios").await?;
    Ok(held)
}

fn prompt_script(session: &Session, dataset: &Dataset) -> Result<Script> {
    session.scripts.file(&dataset.script("prompt.sql"))
}

async fn require_ingested(session: &Session, dataset: &Dataset) -> Result<()> {
    let table = TableReference::partial(dataset.key(), "interactions");
    if session.lake.contains(&table).await? {
        return Ok(());
    }
    Err(Error::Usage(format!(
        "{} holds no dataset '{dataset}'; first run: usermirror ingest {dataset} --from DIR",
        session.lake.location()
    )))
}
