//! Keyed steps: what is missing is computed chunk by chunk, and each chunk committed.
//!
//! The output table is the checkpoint. A unit's rows carry the fingerprint of what they
//! were computed from, so a run sees what is done, what is missing and what has become
//! stale from the tables alone, whoever made them and however that ended.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use datafusion::arrow::array::RecordBatch;
use datafusion::common::runtime::SpawnedTask;
use datafusion::common::{JoinType, TableReference};
use datafusion::prelude::col;
use futures::StreamExt;
use futures::stream::FuturesOrdered;
use tracing::Instrument;
use usermirror_udfs::llm::backend::Usage;

use super::budget::Spent;
use super::chunk::{Chunk, Made, compute, relation};
use super::declared::Declared;
use super::pace::{CHUNKS, Pace};
use super::units::{FINGERPRINT, Units};
use super::{Options, estimate, identity, refuse_imported};
use crate::error::{Error, Result};
use crate::lake::delta::Stamp;
use crate::ledger;
use crate::progress;
use crate::session::Session;

/// Why no further chunk is begun.
enum Halt {
    Asked,
    Budget(String),
}

/// Brings the output of `step` up to date.
///
/// # Errors
/// Fails when the SQL or the storage does, when asked to stop, or at the budget; what was
/// committed stays, and the next run goes on from it.
#[tracing::instrument(name = "step", skip_all, fields(step = step.name))]
pub async fn fill(session: &Session, step: &Declared, options: &Options) -> Result<()> {
    let line = progress::Step::start(&step.name);
    let units = Units::find(session, step, options.retry).await?;
    if units.missing.is_empty() && units.stale.is_empty() {
        line.end("up to date");
        return Ok(());
    }
    refuse_imported(session, &step.output).await?;
    if !units.stale.is_empty() {
        drop_stale(session, step, &units).await?;
    }
    session.watch.show(line.spinner());
    estimate::tell(session, step, &units, options).await?;
    let mut work = Work {
        session,
        step,
        options,
        pace: Pace::new(options.interval),
        waiting: units.missing,
        line: &line,
        fingerprint: identity::of_step(session, step)?,
        total: Stamp::default(),
        usage: session.watch.usage(),
        committed: Instant::now(),
    };
    let started = Instant::now();
    let halt = work.run().await?;
    let total = work.total;
    if total.units > 0 {
        let entry = ledger::Entry {
            step: step.name.clone(),
            output: step.output.clone(),
            rows: total.rows,
            errors: total.errors,
            tokens: total.prompt_tokens + total.generated_tokens,
            seconds: started.elapsed().as_secs_f64(),
            models: identity::models(session, step)?,
            weights: identity::weights(session, step)?,
        };
        ledger::record(session, &entry).await?;
    }
    match halt {
        None => {
            line.finish(total.rows);
            Ok(())
        }
        Some(halt) => {
            line.end(&format!("stopped after {} rows", total.rows));
            Err(stopped(&halt, &step.name))
        }
    }
}

fn stopped(halt: &Halt, step: &str) -> Error {
    let rest = "what is done is committed; run the same command again to go on";
    match halt {
        Halt::Asked => Error::Interrupted(format!("stopped in {step}: {rest}")),
        Halt::Budget(bound) => {
            Error::Budget(format!("stopped in {step} at the budget {bound}: {rest}"))
        }
    }
}

/// A keyed step under way.
struct Work<'a> {
    session: &'a Session,
    step: &'a Declared,
    options: &'a Options,
    pace: Pace,
    waiting: Chunk,
    line: &'a progress::Step,
    /// What the step is, for later estimates.
    fingerprint: String,
    /// What was committed, added up.
    total: Stamp,
    /// What models had used at the last commit.
    usage: BTreeMap<String, Usage>,
    committed: Instant,
}

impl Work<'_> {
    /// Computes and commits chunks until none is left or the run has to stop; chunks that
    /// were begun are always ended.
    async fn run(&mut self) -> Result<Option<Halt>> {
        self.line.expect(self.waiting.len() as u64);
        let mut computing = FuturesOrdered::new();
        let mut begun = 0;
        let mut halt = None;
        loop {
            while halt.is_none() && computing.len() < CHUNKS && !self.waiting.is_empty() {
                halt = self.halt(begun);
                if halt.is_none() {
                    let chunk = self.take(begun);
                    begun += chunk.len();
                    computing.push_back(self.begin(chunk));
                }
            }
            let Some(made) = computing.next().await else {
                return Ok(halt);
            };
            let made = made.map_err(|e| Error::Failed(format!("a chunk broke off: {e}")))??;
            begun -= usize::try_from(made.units).unwrap_or_default();
            self.commit(made, begun).await?;
        }
    }

    /// Whether the run has to stop before the next chunk, when `begun` units are in work.
    fn halt(&self, begun: usize) -> Option<Halt> {
        if self.session.stop.is_asked() {
            return Some(Halt::Asked);
        }
        let usage = self.session.watch.usage();
        let spent = Spent::of(&usage, &self.options.prices, self.options.started);
        let done = self.total.units as f64;
        let more = match done > 0.0 {
            true => (begun + self.pace.next()) as f64 / done,
            false => 0.0,
        };
        let bound = self.options.budget.exceeded(&spent, more);
        bound.map(Halt::Budget)
    }

    /// Starts to compute `chunk`, on a task of its own: it goes on while another one is
    /// committed, and ends when it is dropped.
    fn begin(&self, chunk: Chunk) -> SpawnedTask<Result<Made>> {
        let (session, step) = (self.session.clone(), self.step.clone());
        let work = async move { compute(&session, &step, chunk).await };
        SpawnedTask::spawn(work.in_current_span())
    }

    /// The next chunk, when `begun` units are in work. The first one of all is half as large
    /// as its neighbour: chunks that began together would end together, and leave the models
    /// with nothing to do meanwhile.
    fn take(&mut self, begun: usize) -> Chunk {
        let size = match begun == 0 && self.total.units == 0 {
            true => self.pace.next().div_ceil(2),
            false => self.pace.next(),
        };
        let rest = self.waiting.keys().nth(size).cloned();
        let rest = rest.map_or_else(BTreeMap::new, |key| self.waiting.split_off(&key));
        std::mem::replace(&mut self.waiting, rest)
    }

    /// Commits what a chunk gave, while `begun` units are in work.
    async fn commit(&mut self, made: Made, begun: usize) -> Result<()> {
        let usage = self.session.watch.usage();
        let since = |part: fn(&Usage) -> usize| {
            let sum = |usage: &BTreeMap<_, Usage>| usage.values().map(part).sum::<usize>();
            (sum(&usage) - sum(&self.usage)) as u64
        };
        let stamp = Stamp {
            run: self.session.run.to_string(),
            step: self.step.name.clone(),
            fingerprint: self.fingerprint.clone(),
            units: made.units,
            units_left: (self.waiting.len() + begun) as u64,
            rows: made.rows,
            errors: made.errors,
            prompt_tokens: since(|usage| usage.prompt_tokens),
            cached_tokens: since(|usage| usage.cached_tokens),
            generated_tokens: since(|usage| usage.generated_tokens),
            seconds: self.committed.elapsed().as_secs_f64(),
            ..Stamp::default()
        };
        let lake = &self.session.lake;
        lake.append(&self.step.output, made.batches, stamp.clone())
            .await?;
        progress::committed(&self.session.run, &stamp);
        self.total.add(&stamp);
        self.usage = usage;
        self.committed = Instant::now();
        self.pace
            .committed(usize::try_from(stamp.units).unwrap_or_default());
        self.line.advance(stamp.units);
        Ok(())
    }
}

/// Takes the units out of the output that the step would not make now.
async fn drop_stale(session: &Session, step: &Declared, units: &Units) -> Result<()> {
    let output = TableReference::from(step.output.as_str());
    let names: Vec<_> = (0..=step.key.len())
        .map(|place| format!("stale_{place}"))
        .collect();
    let names: Vec<_> = names.iter().map(String::as_str).collect();
    let columns = step.key.iter().map(String::as_str).chain([FINGERPRINT]);
    let columns: Vec<_> = columns.collect();
    let pairs = units.stale.iter().cloned().map(|(mut key, fingerprint)| {
        key.push(fingerprint);
        key
    });
    let stale = session
        .ctx
        .read_batch(relation(&names, &pairs.collect())?)?;
    let order = columns.iter().map(|column| col(*column).sort(true, true));
    let kept = session
        .ctx
        .table(output)
        .await?
        .join(stale, JoinType::LeftAnti, &columns, &names, None)?
        .sort(order.collect())?;
    let schema = Arc::clone(kept.schema().inner());
    let mut batches = kept.collect().await?;
    batches.push(RecordBatch::new_empty(schema));
    let stamp = Stamp {
        run: session.run.to_string(),
        step: step.name.clone(),
        ..Stamp::default()
    };
    session.lake.replace(&step.output, batches, stamp).await
}
