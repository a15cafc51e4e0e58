//! The invented catalogue: titles, years, genres and a quality nobody sees.

use super::draws::Draws;
use super::world::Item;

/// How many films there are.
pub(super) const ITEM_COUNT: usize = 500;

/// The genres of the world, by the names that MovieLens uses.
pub(super) const GENRES: [&str; 10] = [
    "Action", "Comedy", "Drama", "Fantasy", "Horror", "Musical", "Mystery", "Romance", "Sci-Fi",
    "Western",
];

/// First and last year of the catalogue: eight whole decades.
const FIRST_YEAR: i64 = 1920;
const LAST_YEAR: i64 = 1999;

/// Share of the films that have two genres, and how the two share the film.
const TWO_GENRES: f64 = 0.5;
const TWO_GENRE_WEIGHTS: [f64; 2] = [0.6, 0.4];

// A few words carry Latin-1 letters, so that the files' encoding matters.
const ADJECTIVES: [&str; 24] = [
    "Amber",
    "Broken",
    "Crimson",
    "Distant",
    "Étoile",
    "Fading",
    "Gentle",
    "Hidden",
    "Iron",
    "Jaded",
    "Lonely",
    "Midnight",
    "Northern",
    "Open",
    "Paper",
    "Quiet",
    "Restless",
    "Silent",
    "Tender",
    "Upward",
    "Velvet",
    "Wandering",
    "Yellow",
    "Zealous",
];
const NOUNS: [&str; 24] = [
    "Anchor", "Bridge", "Café", "Door", "Empire", "Forest", "Garden", "Harbor", "Island",
    "Journey", "Kingdom", "Lantern", "Mañana", "Night", "Ocean", "Promise", "Queen", "River",
    "Station", "Tower", "Valley", "Winter", "Zephyr", "Orchard",
];

/// All films; the position is the id minus one.
pub(super) fn items(seed: u64) -> Vec<Item> {
    let titles =
        Draws::keyed(seed, "titles", 0).distinct(ADJECTIVES.len() * NOUNS.len(), ITEM_COUNT);
    titles
        .into_iter()
        .enumerate()
        .map(|(row, pair)| item(seed, row, pair))
        .collect()
}

fn item(seed: u64, row: usize, pair: usize) -> Item {
    let mut draws = Draws::keyed(seed, "item", row);
    let (adjective, noun) = (ADJECTIVES[pair / NOUNS.len()], NOUNS[pair % NOUNS.len()]);
    let two = draws.chance(TWO_GENRES);
    Item {
        title: format!("{adjective} {noun}"),
        year: draws.between(FIRST_YEAR, LAST_YEAR) as i32,
        genres: draws.distinct(GENRES.len(), if two { 2 } else { 1 }),
        genre_weights: if two {
            TWO_GENRE_WEIGHTS.to_vec()
        } else {
            vec![1.0]
        },
        quality: draws.normal(),
    }
}
