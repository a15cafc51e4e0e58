//! The invented population: profiles, and the taste behind them.

use super::catalogue::GENRES;
use super::draws::Draws;
use super::world::User;

/// MovieLens's age codes: under 18, 18-24, 25-34, 35-44, 45-49, 50-55, 56 and over.
const AGES: [i32; 7] = [1, 18, 25, 35, 45, 50, 56];

/// The genre (a position in [`GENRES`]) that each of MovieLens's 21 occupations tends to love.
const HOUSE_GENRES: [usize; 21] = [
    2, 6, 3, 1, 4, 7, 2, 0, 9, 5, 3, 6, 8, 9, 1, 8, 0, 8, 9, 4, 7,
];

/// How often the first loved genre is the occupation's.
const HOUSE_SHARE: f64 = 0.7;

const LOVED: f64 = 2.0;
const HATED: f64 = -2.0;
const SPREAD: f64 = 0.3;

/// The user at position `row`.
pub(super) fn user(seed: u64, row: usize) -> User {
    let mut draws = Draws::keyed(seed, "user", row);
    let occupation = draws.below(HOUSE_GENRES.len());
    User {
        gender: if draws.chance(0.5) { "F" } else { "M" },
        age: AGES[draws.below(AGES.len())],
        occupation: occupation as i32,
        zip: format!("{:05}", draws.below(100_000)),
        taste: taste(&mut draws, HOUSE_GENRES[occupation]),
    }
}

/// Two loved genres, two hated ones, the rest near indifference.
fn taste(draws: &mut Draws, house: usize) -> Vec<f64> {
    let mut order = draws.distinct(GENRES.len(), GENRES.len());
    if draws.chance(HOUSE_SHARE) {
        order.retain(|&genre| genre != house);
        order.insert(0, house);
    }
    let mut taste: Vec<f64> = (0..GENRES.len()).map(|_| SPREAD * draws.normal()).collect();
    for (rank, &genre) in order.iter().enumerate() {
        taste[genre] += match rank {
            0 | 1 => LOVED,
            2 | 3 => HATED,
            _ => 0.0,
        };
    }
    taste
}
