//! What a run may spend.

use std::collections::BTreeMap;
use std::str::FromStr;
use std::time::{Duration, Instant};

use usermirror_udfs::llm::backend::Usage;

use crate::error::Error;

/// Dollars for a million tokens.
#[derive(Debug, Clone, Copy, Default, PartialEq, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Price {
    /// Of a prompt.
    pub prompt: f64,
    /// Written by the model.
    pub generated: f64,
}

impl Price {
    /// What `usage` costs in dollars. Cached tokens count as prompt.
    pub fn of(&self, usage: &Usage) -> f64 {
        let million = |tokens: usize| tokens as f64 / 1e6;
        self.prompt * million(usage.prompt_tokens)
            + self.generated * million(usage.generated_tokens)
    }
}

/// Bounds on one run; what has none is unbounded.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Budget {
    /// Tokens read and written.
    pub tokens: Option<f64>,
    /// Hours of wall time.
    pub hours: Option<f64>,
    /// Dollars, at the models' prices.
    pub usd: Option<f64>,
}

impl FromStr for Budget {
    type Err = Error;

    /// Reads `tokens=2e6,hours=8,usd=20`.
    fn from_str(text: &str) -> Result<Self, Error> {
        let mut budget = Self::default();
        for part in text.split(',') {
            let bound = part
                .split_once('=')
                .and_then(|(name, value)| Some((name.trim(), value.trim().parse().ok()?)))
                .filter(|(_, value): &(_, f64)| *value >= 0.0);
            match bound {
                Some(("tokens", value)) => budget.tokens = Some(value),
                Some(("hours", value)) => budget.hours = Some(value),
                Some(("usd", value)) => budget.usd = Some(value),
                _ => {
                    return Err(Error::Usage(format!(
                        "--budget {part}: write tokens=N, hours=N or usd=N, with commas between"
                    )));
                }
            }
        }
        Ok(budget)
    }
}

/// What a run has spent.
#[derive(Debug, Clone, Copy)]
pub struct Spent {
    /// Tokens read and written.
    pub tokens: f64,
    /// Dollars.
    pub usd: f64,
    /// Since the run began.
    pub time: Duration,
}

impl Spent {
    /// What models used so far, by name, in a run that began at `started`.
    pub fn of(
        usage: &BTreeMap<String, Usage>,
        prices: &BTreeMap<String, Price>,
        started: Instant,
    ) -> Self {
        let tokens = |usage: &Usage| usage.prompt_tokens + usage.generated_tokens;
        let cost = |(model, usage)| {
            prices
                .get(model)
                .map_or(0.0, |price: &Price| price.of(usage))
        };
        Self {
            tokens: usage.values().map(tokens).sum::<usize>() as f64,
            usd: usage.iter().map(cost).sum(),
            time: started.elapsed(),
        }
    }
}

impl Budget {
    /// Which bound is reached when `share` more of what was spent since `before` is added
    /// to `spent`.
    pub fn exceeded(&self, spent: &Spent, more: f64) -> Option<String> {
        let hours = |time: Duration| time.as_secs_f64() / 3600.0;
        let bounds = [
            ("tokens", self.tokens, spent.tokens),
            ("hours", self.hours, hours(spent.time)),
            ("usd", self.usd, spent.usd),
        ];
        let mut bounds = bounds.into_iter().filter_map(|(name, bound, spent)| {
            let bound = bound?;
            (spent * (1.0 + more) > bound).then(|| format!("{name}={bound} ({spent:.4} spent)"))
        });
        bounds.next()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_budget_is_read_and_stops_before_it_is_overdrawn() {
        let budget: Budget = "tokens=1000, usd=2".parse().unwrap();
        assert_eq!(budget.tokens, Some(1000.0));
        assert!("tokens=many".parse::<Budget>().is_err());
        assert!("euros=3".parse::<Budget>().is_err());
        let usage = Usage {
            prompt_tokens: 400,
            cached_tokens: 0,
            generated_tokens: 500,
            ..Usage::default()
        };
        let price = Price {
            prompt: 1000.0,
            generated: 3000.0,
        };
        let usage = BTreeMap::from([("strong".to_owned(), usage)]);
        let prices = BTreeMap::from([("strong".to_owned(), price)]);
        let spent = Spent::of(&usage, &prices, Instant::now());
        assert!((spent.usd - 1.9).abs() < 1e-9);
        assert_eq!(budget.exceeded(&spent, 0.0), None);
        assert!(
            budget
                .exceeded(&spent, 0.2)
                .unwrap()
                .starts_with("tokens=1000")
        );
    }
}
