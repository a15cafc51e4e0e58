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
        Work::Step(Step::Decisions) => each(scripts.folder("sql/decisions")?),
        Work::Step(Step::Scores) => each(scripts.folder("sql/scores")?),
        Work::Step(Step::Distill) => distill(session, &plan.select),
        Work::Step(Step::Scenarios) => Ok(vec![]),
        Work::File(path) => Ok(vec![Declared::new(vec![Script::read(path)?])?]),
    }
}

/// Every file as a step.
fn each(scripts: Vec<Script>) -> Result<Vec<Declared>> {
    scripts
        .into_iter()
        .map(|script| Declared::new(vec![script]))
        .collect()
}

/// `uncertainty`, and `preferences` with the pairs that strategy `select` picks.
fn distill(session: &Session, select: &str) -> Result<Vec<Declared>> {
    let mut scripts = session.scripts.folder("sql/distill")?;
    // The strategy ranks what the pairs offer, before quotas cut the ranking.
    let pairs = scripts.iter().position(|script| script.stem() == "pairs");
    let place = pairs.ok_or_else(|| Error::Failed("sql/distill has no pairs.sql".to_owned()))?;
    scripts.insert(place + 1, strategy(session, select)?);
    let others = scripts.split_off(1);
    Ok(vec![Declared::new(scripts)?, Declared::new(others)?])
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
