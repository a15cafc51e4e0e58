//! How much of a keyed step is done between two commits.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// The most that a kill can cost: what was computed since the last commit.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Interval {
    /// Units (scenarios, mostly).
    pub units: usize,
    /// Time.
    pub time: Duration,
}

impl Default for Interval {
    fn default() -> Self {
        Self {
            units: 256,
            time: Duration::from_secs(300),
        }
    }
}

/// Chunks in work at once: one more than is needed, so that the models stay full while the
/// last rows of a chunk are awaited. Together they stay within the interval.
pub const CHUNKS: usize = 2;

/// Units of the first chunk, whose speed is not known yet.
const FIRST: usize = 16;

/// Finds the size of the next chunk from how fast the last ones went.
#[derive(Debug)]
pub struct Pace {
    interval: Interval,
    /// When and how many units were committed.
    commits: VecDeque<(Instant, usize)>,
}

impl Pace {
    /// Starts now.
    pub fn new(interval: Interval) -> Self {
        Self {
            interval,
            commits: VecDeque::from([(Instant::now(), 0)]),
        }
    }

    /// Units for the next chunk, at least one.
    pub fn next(&self) -> usize {
        let most = (self.interval.units / CHUNKS).max(1);
        let fitting = match self.rate() {
            Some(rate) => rate * self.interval.time.as_secs_f64() / CHUNKS as f64,
            None => FIRST as f64,
        };
        (fitting as usize).clamp(1, most)
    }

    /// Notes a commit of `units`.
    pub fn committed(&mut self, units: usize) {
        self.commits.push_back((Instant::now(), units));
        // Old commits tell little of now.
        if self.commits.len() > 8 {
            self.commits.pop_front();
        }
    }

    /// Units a second over the last commits.
    pub fn rate(&self) -> Option<f64> {
        let (first, _) = self.commits.front()?;
        let (last, _) = self.commits.back()?;
        let units: usize = self.commits.iter().skip(1).map(|(_, units)| units).sum();
        let seconds = last.duration_since(*first).as_secs_f64();
        (units > 0 && seconds > 0.0).then(|| units as f64 / seconds)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunks_stay_within_the_interval_however_fast_they_go() {
        let interval = Interval {
            units: 100,
            time: Duration::from_secs(3600),
        };
        let mut pace = Pace::new(interval);
        assert_eq!(pace.next(), 16);
        pace.committed(1000);
        assert_eq!(pace.next(), 50);
        assert_eq!(
            Pace::new(Interval {
                units: 1,
                ..interval
            })
            .next(),
            1
        );
    }
}
