//! How often a simulator could be right in a world, at best and by popularity alone.

use std::collections::HashSet;

use super::draws::Draws;
use super::world::{Event, World};

/// Accuracies, as shares, of choosing among the chosen item and others drawn uniformly
/// from those its user had not seen.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Odds {
    /// Options, the chosen item included.
    pub choices: usize,
    /// Always the option that the rule of choice prefers: the ceiling.
    pub best: f64,
    /// Always the option that most users chose.
    pub popularity: f64,
}

impl World {
    /// The odds among `choices` options.
    pub fn odds(&self, choices: usize) -> Odds {
        let mut times = vec![0.0; self.items.len()];
        for event in &self.events {
            times[event.item] += 1.0;
        }
        let utility = |event: &Event, item| self.utility(event.user, item, event.mood);
        Odds {
            choices,
            best: self.accuracy(choices, utility),
            popularity: self.accuracy(choices, |_, item| times[item]),
        }
    }

    /// Share of events whose item `score` puts above all other options.
    fn accuracy(&self, choices: usize, score: impl Fn(&Event, usize) -> f64) -> f64 {
        let mut seen: Vec<HashSet<usize>> = vec![HashSet::new(); self.users.len()];
        let mut right = 0;
        for (row, event) in self.events.iter().enumerate() {
            let seen = &mut seen[event.user];
            seen.insert(event.item);
            let wanted = choices - 1 + seen.len();
            let mut others = Draws::keyed(0, "odds", row)
                .distinct(self.items.len(), wanted)
                .into_iter()
                .filter(|item| !seen.contains(item))
                .take(choices - 1);
            let own = score(event, event.item);
            right += usize::from(others.all(|item| score(event, item) < own));
        }
        right as f64 / self.events.len().max(1) as f64
    }
}
