//! What a model step will cost, told before it spends anything.
//!
//! Prompt tokens are counted by running the step's own SQL with models that only count.
//! New tokens and time follow from what the step did before: its commits tell how many
//! tokens and seconds a unit took.

use std::time::Duration;

use indicatif::{HumanCount, HumanDuration};

use super::Options;
use super::chunk::{Chunk, compute};
use super::declared::Declared;
use super::identity;
use super::units::Units;
use crate::error::Result;
use crate::lake::delta::Stamp;
use crate::progress;
use crate::session::Session;

/// Units whose prompts are counted; of more, an even sample is.
const SAMPLE: usize = 1000;

/// What the missing units of a step will take.
#[derive(Debug, Clone, PartialEq)]
pub struct Estimate {
    /// Units to do.
    pub units: usize,
    /// Units whose prompts were counted.
    pub counted: usize,
    /// Tokens of all prompts; exact when every unit was counted.
    pub prompt_tokens: f64,
    /// Tokens that models will write, and from how many done units that is known.
    pub generated: Option<(f64, u64)>,
    /// Wall time, at the speed of the last commits.
    pub time: Option<Duration>,
    /// Dollars; none without prices, or as long as new tokens are unknown.
    pub usd: Option<f64>,
}

impl Estimate {
    /// Estimates the `missing` units of `step`.
    ///
    /// # Errors
    /// Fails when the step's SQL does.
    pub async fn of(
        session: &Session,
        step: &Declared,
        missing: &Chunk,
        options: &Options,
    ) -> Result<Self> {
        let counting = session.counting().await?;
        let sample = sample(missing);
        let counted = sample.len();
        if counted > 0 {
            compute(&counting, step, sample).await?;
        }
        let scale = missing.len() as f64 / counted.max(1) as f64;
        let usage = counting.watch.usage();
        let read: usize = usage.values().map(|usage| usage.prompt_tokens).sum();
        let past = past(session, step).await?;
        let unit = |part: u64| part as f64 / past.units as f64 * missing.len() as f64;
        let known = past.units > 0;
        let generated = known.then(|| (unit(past.generated_tokens), past.units));
        let prices: Vec<_> = usage
            .iter()
            .filter_map(|(model, usage)| Some((options.prices.get(model)?, usage)))
            .collect();
        let priced = !prices.is_empty() && (known || step.models.is_empty());
        let usd = priced.then(|| {
            let prompts: f64 = prices.iter().map(|(price, usage)| price.of(usage)).sum();
            let written = prices
                .iter()
                .map(|(price, _)| price.generated)
                .fold(0.0, f64::max);
            prompts * scale + written * generated.map_or(0.0, |(tokens, _)| tokens) / 1e6
        });
        Ok(Self {
            units: missing.len(),
            counted,
            prompt_tokens: read as f64 * scale,
            generated,
            time: known.then(|| {
                Duration::from_secs_f64(past.seconds / past.units as f64 * missing.len() as f64)
            }),
            usd,
        })
    }

    /// In words.
    pub fn describe(&self) -> String {
        let count = |tokens: f64| HumanCount(tokens.round() as u64).to_string();
        let mut parts = vec![format!("{} to do", count(self.units as f64))];
        parts.push(match self.counted == self.units {
            true => format!("{} prompt tokens", count(self.prompt_tokens)),
            false => format!(
                "about {} prompt tokens (from {} of them)",
                count(self.prompt_tokens),
                count(self.counted as f64)
            ),
        });
        match self.generated {
            Some((tokens, units)) => parts.push(format!(
                "about {} new tokens (from {} done)",
                count(tokens),
                count(units as f64)
            )),
            None => parts.push("new tokens and time known after the first commit".to_owned()),
        }
        parts.extend(
            self.time
                .map(|time| format!("about {}", HumanDuration(time))),
        );
        parts.extend(self.usd.map(|usd| format!("about ${usd:.2}")));
        parts.join(", ")
    }
}

/// Tells what the missing units of a model step will take.
///
/// # Errors
/// Fails when the step's SQL does.
pub async fn tell(
    session: &Session,
    step: &Declared,
    units: &Units,
    options: &Options,
) -> Result<()> {
    if !step.models.is_empty() {
        let estimate = Estimate::of(session, step, &units.missing, options).await?;
        progress::tell(&step.name, &estimate.describe());
    }
    Ok(())
}

/// At most [`SAMPLE`] units, evenly spaced.
fn sample(missing: &Chunk) -> Chunk {
    let stride = missing.len().div_ceil(SAMPLE).max(1);
    let sampled = missing.iter().step_by(stride);
    sampled
        .map(|(key, print)| (key.clone(), print.clone()))
        .collect()
}

/// What the commits of the step, as it is now, added up to.
async fn past(session: &Session, step: &Declared) -> Result<Stamp> {
    let fingerprint = identity::of_step(session, step)?;
    let mut total = Stamp::default();
    for commit in session.lake.commits(&step.output, None).await? {
        if let Some(stamp) = commit
            .stamp
            .filter(|stamp| stamp.fingerprint == fingerprint)
        {
            total.add(&stamp);
        }
    }
    Ok(total)
}
