//! The steps after the scenarios: one folder of SQL files each.

use datafusion::common::TableReference;

use super::{Job, check, hold, store};
use crate::error::{Error, Result};
use crate::scripts::Script;
use crate::session::Session;

/// Writes `decisions`.
pub async fn decisions(session: &Session) -> Result<()> {
    let script = session.scripts.file("sql/decisions/decisions.sql")?;
    single(session, &script, &["scenarios"], &["strong", "weak"]).await
}

/// Writes `scores`.
pub async fn scores(session: &Session) -> Result<()> {
    let script = session.scripts.file("sql/scores/scores.sql")?;
    single(session, &script, &["scenarios", "decisions"], &["weak"]).await
}

/// Writes `uncertainty` and, with the pairs that strategy `select` picks, `preferences`.
pub async fn distill(session: &Session, select: &str) -> Result<()> {
    let session = &session.sister().await?;
    let mut scripts = session.scripts.folder("sql/distill")?;
    // The strategy ranks what the pairs offer, before quotas cut the ranking.
    let pairs = scripts.iter().position(|script| script.stem() == "pairs");
    let place = pairs.ok_or_else(|| Error::Failed("sql/distill has no pairs.sql".to_owned()))?;
    scripts.insert(place + 1, strategy(session, select)?);

    let inputs = ["scenarios", "decisions", "scores"];
    let (uncertainty, others) = scripts
        .split_first()
        .ok_or_else(|| Error::Failed("sql/distill is empty".to_owned()))?;
    single(session, uncertainty, &inputs, &[]).await?;
    let job = Job {
        step: "distill",
        output: "preferences",
        inputs: inputs.map(TableReference::bare).to_vec(),
        scripts: &scripts,
        models: &[],
    };
    job.perform(session, async || {
        let mut preferences = None;
        for script in others {
            preferences = script.run(&session.ctx).await?;
        }
        let preferences = preferences
            .ok_or_else(|| Error::Failed("sql/distill ends without a query".to_owned()))?;
        let held = hold(session, "preferences", preferences).await?;
        check(session, "sql/checks/distill").await?;
        store(session, "preferences", held).await
    })
    .await
}

/// A step of one file, whose query becomes the table named like the file.
async fn single(
    session: &Session,
    script: &Script,
    inputs: &[&str],
    models: &[&str],
) -> Result<()> {
    let job = Job {
        step: script.stem(),
        output: script.stem(),
        inputs: inputs
            .iter()
            .map(|name| TableReference::bare(*name))
            .collect(),
        scripts: std::slice::from_ref(script),
        models,
    };
    job.perform(session, async || {
        let query = script
            .run(&session.ctx)
            .await?
            .ok_or_else(|| Error::Failed(format!("{}: ends without a query", script.path)))?;
        write(session, script.stem(), query).await
    })
    .await
}

async fn write(
    session: &Session,
    table: &str,
    query: datafusion::prelude::DataFrame,
) -> Result<u64> {
    let stream = query.execute_stream().await?;
    let table = TableReference::bare(table);
    session.lake.write(&session.ctx, &table, stream).await
}

fn strategy(session: &Session, select: &str) -> Result<Script> {
    let strategies = session.scripts.folder("sql/select")?;
    let names: Vec<_> = strategies
        .iter()
        .map(|script| script.stem().to_owned())
        .collect();
    strategies
        .into_iter()
        .find(|script| script.stem() == select)
        .ok_or_else(|| {
            Error::Usage(format!(
                "no selection strategy '{select}'; there are: {}",
                names.join(", ")
            ))
        })
}
