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
    /// Always the option that other events chose most often; a draw when several were.
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
            // What is to be guessed does not count: in a large catalogue it would be all
            // that tells the chosen item from the others.
            popularity: self.accuracy(&lives, choices, |_, event, item| {
                times[item] - f64::from(u8::from(item == event.item))
            }),
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

    /// Share of events whose item `score` puts above all other options; those that share the
    /// first place have equal chances.
    fn accuracy(
        &self,
        lives: &Lives,
        choices: usize,
        score: impl Fn(&User, &Event, usize) -> f64,
    ) -> f64 {
        let mut urn = Urn::new(self.items.len());
        let (mut row, mut right) = (0, 0.0);
        for (user, events) in lives {
            let mut seen = HashSet::new();
            for event in events {
                seen.insert(event.item);
                let mut draws = Draws::keyed(0, "odds", row);
                let drawn = urn.draw(&mut draws, choices - 1 + seen.len());
                let others = drawn.iter().filter(|item| !seen.contains(item));
                let scores = others.map(|&item| score(user, event, item));
                let scores: Vec<f64> = scores.take(choices - 1).collect();
                let own = score(user, event, event.item);
                if scores.iter().all(|&other| other <= own) {
                    let rivals = scores.iter().filter(|&&other| other == own).count();
                    right += 1.0 / (1 + rivals) as f64;
                }
                row += 1;
            }
        }
        right / row.max(1) as f64
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
    fn an_item_is_not_popular_for_being_the_one_to_guess() {
        let world = World::new(300, 7).with_items(100_000).unwrap();
        let odds = world.odds(5);
        assert!((odds.popularity - 0.2).abs() < 0.05, "{odds:?}");
    }

    #[test]
    fn a_large_world_is_sampled() {
        let world = World::new(SAMPLE + 500, 7);
        assert_eq!(world.sample().len(), SAMPLE);
    }
}
