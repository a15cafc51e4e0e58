//! A small world of films whose viewers choose by a known rule.
//!
//! Real logs never say why somebody chose. This world does, so that what a model can reach at
//! best is known: the *ceiling* is how often the rule's own favourite is the film chosen.
//!
//! # Who and what
//! * 500 films of 1920 to 1999 with one or two of ten genres and a `quality` (mean 0, variance 1)
//!   that no prompt shows. Weights say how much of a film each genre is; they add up to 1.
//! * Users with a `taste`, one number a genre: about +2 for two loved genres, −2 for two hated
//!   ones, 0 for the rest. Each occupation has a house genre, which is the first loved genre of
//!   70 % of its members: the profile hints at the taste.
//! * A passing `mood` for one decade: viewers walk through film history. A film of one decade
//!   makes its viewer curious about the following one (after the 1990s comes the 1920s again);
//!   one time in ten the curiosity falls on a decade at random. So the last film of a history
//!   tells the mood, while neither the set of films seen nor a film's likeness to another does.
//!
//! # The rule of choice
//! At each event the user is shown a page of 40 films drawn uniformly from the unseen ones, and
//! chooses one with probability proportional to `exp(utility)` (a multinomial logit):
//!
//! ```text
//! utility = 4.0 · Σ taste[g] · weight[g]  +  9.0 · [decade of the film = mood]  +  0.2 · quality
//! ```
//!
//! Exposures are later built from films like those the user loves and films like the chosen one,
//! so taste alone could not tell the chosen film from such neighbours: the mood can, and the
//! taste decides among the films that suit it.
//!
//! Pages are uniform, so a film's popularity says little, and each user's chance to choose a film
//! grows with its utility. The rating is `3.3 + 0.6 · Σ taste · weight + 0.3 · quality` plus
//! noise of standard deviation 0.4, rounded into 1 to 5: it shows the taste, not the mood.
//! Each user has 20 to 40 events within two years from 1999-01-01, minutes to weeks apart.
//!
//! The same seed gives the same world, and a larger population begins with the smaller one.

use std::collections::HashSet;

use super::catalogue::{self, GENRES};
use super::draws::Draws;
use super::population;

const TASTE_WEIGHT: f64 = 4.0;
const MOOD_WEIGHT: f64 = 9.0;
const QUALITY_WEIGHT: f64 = 0.2;

const PAGE_LENGTH: usize = 40;
const WHIM: f64 = 0.1;
const DECADES: [i32; 8] = [1920, 1930, 1940, 1950, 1960, 1970, 1980, 1990];

const FEWEST_EVENTS: i64 = 20;
const MOST_EVENTS: i64 = 40;

/// 1999-01-01 in seconds since 1970, and a day and a minute in seconds.
const OPENING: i64 = 915_148_800;
const DAY: i64 = 86_400;
const MINUTE: i64 = 60;

/// Films, users and what the users chose.
#[derive(Debug, Clone, PartialEq)]
pub struct World {
    /// The films; a film's id is its position plus one.
    pub items: Vec<Item>,
    /// The users; a user's id is the position plus one.
    pub users: Vec<User>,
    /// The choices, user by user, oldest first.
    pub events: Vec<Event>,
}

/// A film.
#[derive(Debug, Clone, PartialEq)]
pub struct Item {
    /// Two invented words, without the year.
    pub title: String,
    /// Year of release.
    pub year: i32,
    /// Positions in the list of genres, the main one first.
    pub genres: Vec<usize>,
    /// How much of the film each of `genres` is; adds up to 1.
    pub genre_weights: Vec<f64>,
    /// What makes everybody like it a little more or less; mean 0, variance 1.
    pub quality: f64,
}

/// A viewer.
#[derive(Debug, Clone, PartialEq)]
pub struct User {
    /// `F` or `M`.
    pub gender: &'static str,
    /// MovieLens's age code: 1, 18, 25, 35, 45, 50 or 56.
    pub age: i32,
    /// MovieLens's occupation code: 0 to 20.
    pub occupation: i32,
    /// Five digits.
    pub zip: String,
    /// How much the user likes each genre.
    pub taste: Vec<f64>,
}

/// One choice.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    /// Position of the user.
    pub user: usize,
    /// Position of the film chosen.
    pub item: usize,
    /// Seconds since 1970, UTC.
    pub ts: i64,
    /// 1 to 5.
    pub rating: i32,
    /// The decade that the user was in the mood for.
    pub mood: i32,
}

impl World {
    /// Lets `users` viewers live in the world of `seed`.
    pub fn simulate(users: usize, seed: u64) -> Self {
        let items = catalogue::items(seed);
        let users = population::users(users, seed);
        let events = (0..users.len())
            .flat_map(|user| live(user, &users[user], &items, seed))
            .collect();
        Self {
            items,
            users,
            events,
        }
    }

    /// What the rule of choice adds up for a user, a film and a mood.
    pub fn utility(&self, user: usize, item: usize, mood: i32) -> f64 {
        utility(&self.users[user], &self.items[item], mood)
    }
}

/// One user's choices, oldest first.
fn live(row: usize, user: &User, items: &[Item], seed: u64) -> Vec<Event> {
    let mut draws = Draws::keyed(seed, "life", row);
    let mut seen = HashSet::new();
    let mut mood = DECADES[draws.below(DECADES.len())];
    let mut ts = OPENING + draws.between(0, 365 * DAY);
    let count = draws.between(FEWEST_EVENTS, MOST_EVENTS);
    let mut events = Vec::with_capacity(count as usize);
    for _ in 0..count {
        let item = choose(&mut draws, user, items, &seen, mood);
        seen.insert(item);
        ts += pause(&mut draws);
        events.push(Event {
            user: row,
            item,
            ts,
            rating: rate(&mut draws, user, &items[item]),
            mood,
        });
        mood = next_mood(&mut draws, items[item].year);
    }
    events
}

/// The decade that a film of `year` makes one curious about: the following one, round the clock.
fn next_mood(draws: &mut Draws, year: i32) -> i32 {
    let decade = if draws.chance(WHIM) {
        draws.below(DECADES.len())
    } else {
        (year - DECADES[0]) as usize / 10 + 1
    };
    DECADES[decade % DECADES.len()]
}

/// Draws a page of unseen films and one film of it.
fn choose(
    draws: &mut Draws,
    user: &User,
    items: &[Item],
    seen: &HashSet<usize>,
    mood: i32,
) -> usize {
    let page: Vec<usize> = draws
        .distinct(items.len(), PAGE_LENGTH + seen.len())
        .into_iter()
        .filter(|item| !seen.contains(item))
        .take(PAGE_LENGTH)
        .collect();
    let utilities: Vec<f64> = page
        .iter()
        .map(|&item| utility(user, &items[item], mood))
        .collect();
    // Subtracting the largest keeps the exponentials within range.
    let largest = utilities.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let weights: Vec<f64> = utilities.iter().map(|u| (u - largest).exp()).collect();
    let mut rest = draws.unit() * weights.iter().sum::<f64>();
    let chosen = weights.iter().position(|weight| {
        rest -= weight;
        rest < 0.0
    });
    page[chosen.unwrap_or(page.len() - 1)]
}

fn utility(user: &User, item: &Item, mood: i32) -> f64 {
    let in_mood = if item.year / 10 * 10 == mood {
        1.0
    } else {
        0.0
    };
    TASTE_WEIGHT * liking(user, item) + MOOD_WEIGHT * in_mood + QUALITY_WEIGHT * item.quality
}

fn liking(user: &User, item: &Item) -> f64 {
    let weighted = item.genres.iter().zip(&item.genre_weights);
    weighted
        .map(|(&genre, weight)| user.taste[genre] * weight)
        .sum()
}

fn rate(draws: &mut Draws, user: &User, item: &Item) -> i32 {
    let impression = 3.3 + 0.6 * liking(user, item) + 0.3 * item.quality + 0.4 * draws.normal();
    impression.round().clamp(1.0, 5.0) as i32
}

/// Seconds until the next event: often the same evening, else days.
fn pause(draws: &mut Draws) -> i64 {
    if draws.chance(0.4) {
        draws.between(2 * MINUTE, 240 * MINUTE)
    } else {
        draws.between(DAY, 14 * DAY)
    }
}

/// The names of a film's genres.
pub(super) fn genre_names(item: &Item) -> Vec<&'static str> {
    item.genres.iter().map(|&genre| GENRES[genre]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_gives_the_same_world() {
        assert_eq!(World::simulate(30, 7), World::simulate(30, 7));
        assert_ne!(World::simulate(30, 7).events, World::simulate(30, 8).events);
    }

    #[test]
    fn a_larger_population_begins_with_the_smaller_one() {
        let (small, large) = (World::simulate(10, 7), World::simulate(20, 7));
        assert_eq!(small.items, large.items);
        assert_eq!(small.users[..], large.users[..10]);
        assert_eq!(small.events[..], large.events[..small.events.len()]);
    }

    #[test]
    fn the_rule_decides_and_popularity_does_not() {
        let world = World::simulate(300, 7);
        let odds = world.odds(5);
        assert!(odds.best > 0.8, "{odds:?}");
        assert!(odds.popularity < 0.4, "{odds:?}");
    }

    #[test]
    fn ratings_show_the_taste() {
        let world = World::simulate(100, 7);
        let mean = |wanted: &dyn Fn(f64) -> bool| {
            let chosen =
                |event: &&Event| wanted(liking(&world.users[event.user], &world.items[event.item]));
            let ratings: Vec<f64> = world
                .events
                .iter()
                .filter(chosen)
                .map(|e| f64::from(e.rating))
                .collect();
            ratings.iter().sum::<f64>() / ratings.len() as f64
        };
        assert!(mean(&|liking| liking > 1.5) > mean(&|liking| liking < 0.5) + 0.7);
    }

    #[test]
    fn everyone_has_twenty_to_forty_events_in_order_and_never_sees_a_film_twice() {
        let world = World::simulate(200, 7);
        for user in 0..world.users.len() {
            let events: Vec<&Event> = world
                .events
                .iter()
                .filter(|event| event.user == user)
                .collect();
            assert!((20..=40).contains(&events.len()));
            assert!(events.windows(2).all(|pair| pair[0].ts < pair[1].ts));
            assert!(events.iter().all(|event| event.ts < OPENING + 731 * DAY));
            let films: HashSet<usize> = events.iter().map(|event| event.item).collect();
            assert_eq!(films.len(), events.len());
        }
    }

    #[test]
    fn titles_are_unique_and_fit_latin_1() {
        let world = World::simulate(0, 7);
        let titles: HashSet<&str> = world.items.iter().map(|item| item.title.as_str()).collect();
        assert_eq!(titles.len(), world.items.len());
        assert!(
            titles
                .iter()
                .all(|title| title.chars().all(|letter| u32::from(letter) < 256))
        );
        assert!(titles.iter().any(|title| !title.is_ascii()));
    }
}
