//! Steps that make their table whole: computed, checked, and written in one commit.

use std::sync::Arc;
use std::time::Instant;

use datafusion::arrow::array::RecordBatch;
use datafusion::common::TableReference;
use datafusion::datasource::MemTable;
use datafusion::prelude::DataFrame;

use super::declared::Declared;
use super::{check, identity, refuse_imported};
use crate::error::{Error, Result};
use crate::lake::delta::Stamp;
use crate::ledger;
use crate::progress;
use crate::session::Session;

/// Makes the output of `step` by its SQL, unless the table already is what it would be.
///
/// # Errors
/// Fails when the SQL does, and when a check finds rows; the table then stays.
pub async fn make(session: &Session, step: &Declared) -> Result<()> {
    perform(session, step, &inputs(step), async || {
        let session = session.sister().await?;
        let mut rows = None;
        for script in &step.scripts {
            rows = script.run(&session.ctx).await?;
        }
        let rows = rows
            .ok_or_else(|| Error::Failed(format!("the step {} ends without a query", step.name)))?;
        let held = hold(&session, &step.output, rows).await?;
        if let Some(checks) = &step.checks {
            check(&session, checks).await?;
        }
        Ok(held)
    })
    .await
}

/// Whether the output of `step` is what it would be now.
///
/// # Errors
/// Fails when the tables cannot be read.
pub async fn is_current(session: &Session, step: &Declared) -> Result<bool> {
    let fingerprint = identity::of_table(session, step, &inputs(step)).await?;
    has_fingerprint(session, &step.output, &fingerprint).await
}

fn inputs(step: &Declared) -> Vec<TableReference> {
    step.inputs.iter().map(TableReference::from).collect()
}

/// Whether the last change of `table` was made from what `fingerprint` stands for.
pub async fn has_fingerprint(session: &Session, table: &str, fingerprint: &str) -> Result<bool> {
    let last = session.lake.last_change_of(table).await?;
    let stamp = last.and_then(|commit| commit.stamp);
    Ok(stamp.is_some_and(|stamp| stamp.fingerprint == fingerprint))
}

/// Writes what `work` computes as the output of `step`, unless the table already is what
/// it would be.
///
/// # Errors
/// Fails when the work does; the table then stays.
#[tracing::instrument(name = "step", skip_all, fields(step = step.name))]
pub async fn perform<F>(
    session: &Session,
    step: &Declared,
    inputs: &[TableReference],
    work: F,
) -> Result<()>
where
    F: AsyncFnOnce() -> Result<Vec<RecordBatch>>,
{
    let line = progress::Step::start(&step.name);
    let fingerprint = identity::of_table(session, step, inputs).await?;
    if has_fingerprint(session, &step.output, &fingerprint).await? {
        line.end("up to date");
        return Ok(());
    }
    refuse_imported(session, &step.output).await?;
    session.watch.show(line.spinner());
    let started = Instant::now();
    let batches = session.stop.unless_asked(work()).await?;
    let rows = batches.iter().map(|batch| batch.num_rows() as u64).sum();
    let stamp = Stamp {
        run: session.run.to_string(),
        step: step.name.clone(),
        fingerprint,
        units: rows,
        rows,
        seconds: started.elapsed().as_secs_f64(),
        ..Stamp::default()
    };
    session.lake.replace(&step.output, batches, stamp).await?;
    let entry = ledger::Entry {
        step: step.name.clone(),
        output: step.output.clone(),
        rows,
        seconds: started.elapsed().as_secs_f64(),
        models: identity::models(session, step)?,
        weights: identity::weights(session, step)?,
        ..ledger::Entry::default()
    };
    ledger::record(session, &entry).await?;
    line.finish(rows);
    Ok(())
}

/// Computes `rows` and holds them in memory as the session's relation `name`, so that
/// checks can look at them before the lake takes them. Returns them in their order,
/// which a scan of the relation may not keep, and with an empty batch if there are none.
///
/// # Errors
/// Fails when the query does.
pub async fn hold(session: &Session, name: &str, rows: DataFrame) -> Result<Vec<RecordBatch>> {
    let schema = Arc::clone(rows.schema().inner());
    let mut batches = rows.collect().await?;
    if batches.is_empty() {
        batches.push(RecordBatch::new_empty(Arc::clone(&schema)));
    }
    let table = MemTable::try_new(schema, vec![batches.clone()])?;
    session.ctx.deregister_table(name)?;
    session.ctx.register_table(name, Arc::new(table))?;
    Ok(batches)
}
