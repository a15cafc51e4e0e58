//! A small world of films whose viewers choose by a known rule.
//!
//! Real logs never say why somebody chose. This world does, so that what a model can reach at
//! best is known: the *ceiling* is how often the rule's own favourite is the film chosen.
//!
//! # Who and what
//! * 500 films (or as many as asked for) of 1920 to 1999 with one or two of ten genres and a `quality` (mean 0, variance 1)
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
//! A life depends on the seed and the user alone, so lives are simulated when they are asked
//! for, in any order, and never all kept.

use std::sync::Arc;

use super::catalogue::{self, GENRES, ITEM_COUNT};
use super::life::{self, PAGE_LENGTH};
use super::population;
use crate::error::{Error, Result};

const TASTE_WEIGHT: f64 = 4.0;
const MOOD_WEIGHT: f64 = 9.0;
const QUALITY_WEIGHT: f64 = 0.2;

/// So many films that a page of unseen ones can always be filled.
const FEWEST_ITEMS: usize = PAGE_LENGTH + life::MOST_EVENTS as usize;

/// Films, and users who can be asked what they chose.
#[derive(Debug, Clone, PartialEq)]
pub struct World {
    /// The films; a film's id is its position plus one.
    pub items: Arc<[Item]>,
    /// What every draw is keyed by.
    pub(super) seed: u64,
    /// How many events there are before each user's first one, and at last in all.
    pub(super) starts: Arc<[usize]>,
}

/// A film.
#[derive(Debug, Clone, PartialEq)]
pub struct Item {
    /// Invented words, without the year.
    pub title: String,
    /// Year of release.
    pub year: i32,
    /// Positions in the list of genres, the main one first, and how much of the film each
    /// is, which adds up to 1.
    pub genres: Vec<(usize, f64)>,
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
    /// The world of `seed`: `users` viewers and 500 films.
    pub fn new(users: usize, seed: u64) -> Self {
        let ends = (0..users).scan(0, |events, user| {
            *events += life::event_count(seed, user);
            Some(*events)
        });
        Self {
            items: catalogue::items(seed, ITEM_COUNT).into(),
            seed,
            starts: std::iter::once(0).chain(ends).collect(),
        }
    }

    /// The same viewers with another number of films.
    ///
    /// # Errors
    /// Fails when there are too few films to fill every page.
    pub fn with_items(self, count: usize) -> Result<Self> {
        if count < FEWEST_ITEMS {
            return Err(Error::Usage(format!(
                "--items {count}: pages are filled with unseen items, which takes {FEWEST_ITEMS} or more"
            )));
        }
        let items = catalogue::items(self.seed, count).into();
        Ok(Self { items, ..self })
    }

    /// How many users there are; ids are positions plus one.
    pub fn user_count(&self) -> usize {
        self.starts.len() - 1
    }

    /// How many events there are in all.
    pub fn event_count(&self) -> usize {
        self.starts[self.user_count()]
    }

    /// The user at a position.
    pub fn user(&self, position: usize) -> User {
        population::user(self.seed, position)
    }
}

/// What the rule of choice adds up for a user, a film and a mood.
pub(super) fn utility(user: &User, item: &Item, mood: i32) -> f64 {
    let in_mood = if item.year / 10 * 10 == mood {
        1.0
    } else {
        0.0
    };
    TASTE_WEIGHT * liking(user, item) + MOOD_WEIGHT * in_mood + QUALITY_WEIGHT * item.quality
}

/// How much of what the user likes is in a film.
pub(super) fn liking(user: &User, item: &Item) -> f64 {
    let mut liking = 0.0;
    for &(genre, weight) in &item.genres {
        liking += user.taste[genre] * weight;
    }
    liking
}

/// The names of a film's genres.
pub(super) fn genre_names(item: &Item) -> Vec<&'static str> {
    let genres = item.genres.iter();
    genres.map(|&(genre, _)| GENRES[genre]).collect()
}
