//! How often a simulator could be right in a world, at best and by popularity alone.

use std::collections::HashSet;

use super::draws::{Draws, Urn};
use super::life::Stage;
use super::world::{Event, User, World, utility};

/// So many users at most are asked; more would not change the figures' first decimals.
const SAMPLE: usize = 2000;

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

/// Users and what they chose.
type Lives = [(User, Vec<Event>)];

impl World {
    /// The odds among `choices` options, for all users or, in a large world, for 2,000 drawn
    /// at random.
    pub fn odds(&self, choices: usize) -> Odds {
        let lives = self.sample();
        let mut times = vec![0.0; self.items.len()];
        for event in lives.iter().flat_map(|(_, events)| events) {
            times[event.item] += 1.0;
        }
        Odds {
            choices,
            best: self.accuracy(&lives, choices, |user, event, item| {
                utility(user, &self.items[item], event.mood)
            }),
            popularity: self.accuracy(&lives, choices, |_, _, item| times[item]),
        }
    }

    /// The lives of all users, or of [`SAMPLE`] of them.
    fn sample(&self) -> Vec<(User, Vec<Event>)> {
        let mut rows = Draws::keyed(self.seed, "sample", 0).distinct(self.user_count(), SAMPLE);
        rows.sort_unstable();
        let mut stage = Stage::new(self);
        let mut live = |row| {
            let (user, mut events) = (self.user(row), vec![]);
            stage.live(row, &user, |event, _| events.push(event));
            (user, events)
        };
        rows.into_iter().map(&mut live).collect()
    }

    /// Share of events whose item `score` puts above all other options.
    fn accuracy(
        &self,
        lives: &Lives,
        choices: usize,
        score: impl Fn(&User, &Event, usize) -> f64,
    ) -> f64 {
        let mut urn = Urn::new(self.items.len());
        let (mut row, mut right) = (0, 0);
        for (user, events) in lives {
            let mut seen = HashSet::new();
            for event in events {
                seen.insert(event.item);
                let mut draws = Draws::keyed(0, "odds", row);
                let drawn = urn.draw(&mut draws, choices - 1 + seen.len());
                let mut others = drawn.iter().filter(|item| !seen.contains(item));
                let own = score(user, event, event.item);
                let beaten = |&item: &usize| score(user, event, item) < own;
                right += usize::from(others.by_ref().take(choices - 1).all(beaten));
                row += 1;
            }
        }
        right as f64 / row.max(1) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rule_decides_and_popularity_does_not() {
        let odds = World::new(300, 7).odds(5);
        assert!(odds.best > 0.8, "{odds:?}");
        assert!(odds.popularity < 0.4, "{odds:?}");
    }

    #[test]
    fn a_large_world_is_sampled() {
        let world = World::new(SAMPLE + 500, 7);
        assert_eq!(world.sample().len(), SAMPLE);
    }
}
