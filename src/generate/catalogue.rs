//! The invented catalogue: titles, years, genres and a quality nobody sees.

use super::draws::Draws;
use super::world::Item;

/// How many films there are unless somebody asks for more.
pub const ITEM_COUNT: usize = 500;

/// The genres of the world, by the names that MovieLens uses.
pub(super) const GENRES: [&str; 10] = [
    "Action", "Comedy", "Drama", "Fantasy", "Horror", "Musical", "Mystery", "Romance", "Sci-Fi",
    "Western",
];

/// First and last year of the catalogue: eight whole decades.
pub(super) const FIRST_YEAR: i64 = 1920;
const LAST_YEAR: i64 = 1999;

/// Share of the films that have two genres, and how those and the others share a film.
const TWO_GENRES: f64 = 0.5;
const TWO_WEIGHTS: &[f64] = &[0.6, 0.4];
const ONE_WEIGHT: &[f64] = &[1.0];

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

/// `count` films; the position is the id minus one.
pub(super) fn items(seed: u64, count: usize) -> Vec<Item> {
    let pairs = ADJECTIVES.len() * NOUNS.len();
    let titles = Draws::keyed(seed, "titles", 0).distinct(pairs, count);
    (0..count)
        .map(|row| item(seed, row, title(titles[row % pairs], row / pairs + 1)))
        .collect()
}

/// Two words, and a number from the second film of that name on.
fn title(pair: usize, part: usize) -> String {
    let (adjective, noun) = (ADJECTIVES[pair / NOUNS.len()], NOUNS[pair % NOUNS.len()]);
    if part == 1 {
        format!("{adjective} {noun}")
    } else {
        format!("{adjective} {noun} {part}")
    }
}

fn item(seed: u64, row: usize, title: String) -> Item {
    let mut draws = Draws::keyed(seed, "item", row);
    let weights = if draws.chance(TWO_GENRES) {
        TWO_WEIGHTS
    } else {
        ONE_WEIGHT
    };
    let year = draws.between(FIRST_YEAR, LAST_YEAR) as i32;
    let genres = draws.distinct(GENRES.len(), weights.len());
    Item {
        title,
        year,
        genres: genres.into_iter().zip(weights.iter().copied()).collect(),
        quality: draws.normal(),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn titles_are_unique_and_fit_latin_1_in_catalogues_of_any_size() {
        let films = items(7, 100_000);
        let titles: HashSet<&str> = films.iter().map(|film| film.title.as_str()).collect();
        assert_eq!(titles.len(), 100_000);
        let letters = || titles.iter().flat_map(|title| title.chars());
        assert!(letters().all(|letter| u32::from(letter) < 256));
        assert!(letters().any(|letter| !letter.is_ascii()));
    }

    #[test]
    fn a_larger_catalogue_begins_with_the_smaller_one() {
        assert_eq!(items(7, 2000)[..ITEM_COUNT], items(7, ITEM_COUNT));
    }
}
