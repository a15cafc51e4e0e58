//! The steps after the scenarios, as their SQL declares them.

use super::declared::Declared;
use super::plan::{Plan, Step, Work};
use crate::error::{Error, Result};
use crate::scripts::Script;
use crate::session::Session;

/// The declared steps that a piece of work is made of.
///
/// # Errors
/// Fails when a file is missing or does not say what it makes.
pub fn of(session: &Session, plan: &Plan, work: &Work) -> Result<Vec<Declared>> {
    let scripts = &session.scripts;
    match work {
        Work::Step(Step::Decisions) => each(session, scripts.folder("sql/decisions")?),
        Work::Step(Step::Scores) => each(session, scripts.folder("sql/scores")?),
        Work::Step(Step::Distill) => distill(session, &plan.select),
        Work::Step(Step::Scenarios) => Ok(vec![]),
        Work::File(path) => each(session, vec![Script::read(path)?]),
    }
}

/// Every file as a step.
fn each(session: &Session, scripts: Vec<Script>) -> Result<Vec<Declared>> {
    scripts
        .into_iter()
        .map(|script| Declared::new(vec![script], &session.parameters))
        .collect()
}

/// `uncertainty`, what else strategy `select` ranks by, and `preferences` with the pairs
/// that it picks.
fn distill(session: &Session, select: &str) -> Result<Vec<Declared>> {
    let mut scripts = session.scripts.folder("sql/distill")?;
    let strategy = session.scripts.one_of("sql/select", select)?;
    let needed = strategy.list("needs").into_iter();
    let needed = needed.map(|path| session.scripts.file(path));
    let needed = each(session, needed.collect::<Result<_>>()?)?;
    let ranked_by: Vec<_> = strategy
        .list("inputs")
        .into_iter()
        .map(str::to_owned)
        .collect();
    // The strategy ranks what the pairs offer, before quotas cut the ranking.
    let pairs = scripts.iter().position(|script| script.stem() == "pairs");
    let place = pairs.ok_or_else(|| Error::Failed("sql/distill has no pairs.sql".to_owned()))?;
    scripts.insert(place + 1, strategy);
    let others = scripts.split_off(1);
    let mut preferences = Declared::new(others, &session.parameters)?;
    preferences.inputs.extend(ranked_by);
    let mut steps = each(session, scripts)?;
    steps.extend(needed);
    steps.push(preferences);
    Ok(steps)
}
