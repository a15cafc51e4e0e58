//! One user's life: page after page, a choice from each.

use super::catalogue::FIRST_YEAR;
use super::draws::{Draws, Urn};
use super::world::{Event, Item, User, World, liking, utility};

/// Films that a user is shown at once.
pub(super) const PAGE_LENGTH: usize = 40;

const WHIM: f64 = 0.1;
const DECADES: usize = 8;

const FEWEST_EVENTS: i64 = 20;
pub(super) const MOST_EVENTS: i64 = 40;

/// 1999-01-01 in seconds since 1970, and a day and a minute in seconds.
pub(super) const OPENING: i64 = 915_148_800;
pub(super) const DAY: i64 = 86_400;
const MINUTE: i64 = 60;

/// How many events the user at position `row` has.
pub(super) fn event_count(seed: u64, row: usize) -> usize {
    let (_, start) = begin(seed, row);
    start.events
}

/// Where a life starts.
struct Start {
    mood: i32,
    ts: i64,
    events: usize,
}

fn begin(seed: u64, row: usize) -> (Draws, Start) {
    let mut draws = Draws::keyed(seed, "life", row);
    let start = Start {
        mood: decade(draws.below(DECADES)),
        ts: OPENING + draws.between(0, 365 * DAY),
        events: draws.between(FEWEST_EVENTS, MOST_EVENTS) as usize,
    };
    (draws, start)
}

/// What simulating takes, used for one life after another: no memory is asked for on the way.
pub(super) struct Stage<'world> {
    world: &'world World,
    urn: Urn,
    /// In which life each film was last seen.
    seen_in: Vec<usize>,
    life: usize,
    page: Vec<usize>,
    weights: Vec<f64>,
}

impl<'world> Stage<'world> {
    pub(super) fn new(world: &'world World) -> Self {
        Self {
            world,
            urn: Urn::new(world.items.len()),
            seen_in: vec![0; world.items.len()],
            life: 0,
            page: vec![],
            weights: vec![],
        }
    }

    /// Hands each choice of the user at position `row` to `each`, oldest first, with the page
    /// it was made from.
    pub(super) fn live(&mut self, row: usize, user: &User, mut each: impl FnMut(Event, &[usize])) {
        let items = &self.world.items;
        let (
            mut draws,
            Start {
                mut mood,
                mut ts,
                events,
            },
        ) = begin(self.world.seed, row);
        self.life += 1;
        for seen in 0..events {
            self.fill_page(&mut draws, seen);
            let item = self.choose(&mut draws, user, mood);
            self.seen_in[item] = self.life;
            ts += pause(&mut draws);
            let event = Event {
                user: row,
                item,
                ts,
                rating: rate(&mut draws, user, &items[item]),
                mood,
            };
            each(event, &self.page);
            mood = next_mood(&mut draws, items[item].year);
        }
    }

    /// Draws a page of films, of which the user has already `seen` so many.
    fn fill_page(&mut self, draws: &mut Draws, seen: usize) {
        self.page.clear();
        // As many as could be needed, whatever has been seen.
        for &item in self.urn.draw(draws, PAGE_LENGTH + seen) {
            if self.page.len() < PAGE_LENGTH && self.seen_in[item] != self.life {
                self.page.push(item);
            }
        }
    }

    /// Draws one film of the page.
    fn choose(&mut self, draws: &mut Draws, user: &User, mood: i32) -> usize {
        let (items, weights) = (&self.world.items, &mut self.weights);
        weights.clear();
        let mut largest = f64::NEG_INFINITY;
        for &item in &self.page {
            let utility = utility(user, &items[item], mood);
            largest = largest.max(utility);
            weights.push(utility);
        }
        let mut total = 0.0;
        for weight in weights.iter_mut() {
            // Subtracting the largest keeps the exponentials within range.
            *weight = (*weight - largest).exp();
            total += *weight;
        }
        let mut rest = draws.unit() * total;
        let chosen = weights.iter().position(|weight| {
            rest -= weight;
            rest < 0.0
        });
        self.page[chosen.unwrap_or(self.page.len() - 1)]
    }
}

/// The decade that a film of `year` makes one curious about: the following one, round the clock.
fn next_mood(draws: &mut Draws, year: i32) -> i32 {
    if draws.chance(WHIM) {
        decade(draws.below(DECADES))
    } else {
        decade((i64::from(year) - FIRST_YEAR) as usize / 10 + 1)
    }
}

/// The first year of a decade, counted from that of the oldest films, round the clock.
fn decade(number: usize) -> i32 {
    FIRST_YEAR as i32 + 10 * (number % DECADES) as i32
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

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    /// All events of a world with their pages.
    fn lives(world: &World) -> Vec<(Event, Vec<usize>)> {
        let mut stage = Stage::new(world);
        let mut events = vec![];
        for row in 0..world.user_count() {
            let user = world.user(row);
            stage.live(row, &user, |event, page| {
                events.push((event, page.to_vec()))
            });
        }
        events
    }

    fn events(world: &World) -> Vec<Event> {
        lives(world).into_iter().map(|(event, _)| event).collect()
    }

    #[test]
    fn the_same_seed_gives_the_same_world() {
        assert_eq!(events(&World::new(30, 7)), events(&World::new(30, 7)));
        assert_ne!(events(&World::new(30, 7)), events(&World::new(30, 8)));
    }

    #[test]
    fn a_larger_population_begins_with_the_smaller_one() {
        let (small, large) = (events(&World::new(10, 7)), events(&World::new(20, 7)));
        assert_eq!(small[..], large[..small.len()]);
    }

    #[test]
    fn a_life_does_not_depend_on_those_before_it() {
        let world = World::new(10, 7);
        let (mut alone, user) = (vec![], world.user(9));
        Stage::new(&world).live(9, &user, |event, _| alone.push(event));
        assert!(events(&world).ends_with(&alone));
    }

    #[test]
    fn events_are_counted_before_they_happen() {
        let world = World::new(50, 7);
        let events = events(&world);
        assert_eq!(world.event_count(), events.len());
        for user in 0..50 {
            let before = events.iter().filter(|event| event.user < user).count();
            assert_eq!(world.starts[user], before);
        }
    }

    #[test]
    fn everyone_has_twenty_to_forty_events_in_order_and_never_sees_a_film_twice() {
        let all = events(&World::new(200, 7));
        for life in all.chunk_by(|one, next| one.user == next.user) {
            assert!((20..=40).contains(&life.len()));
            assert!(life.windows(2).all(|pair| pair[0].ts < pair[1].ts));
            assert!(life.iter().all(|event| event.ts < OPENING + 731 * DAY));
            let films: HashSet<usize> = life.iter().map(|event| event.item).collect();
            assert_eq!(films.len(), life.len());
        }
    }

    #[test]
    fn a_page_holds_forty_unseen_films_and_the_chosen_one() {
        for items in [80, 500, 3000] {
            let world = World::new(40, 7).with_items(items).unwrap();
            for life in lives(&world).chunk_by(|one, next| one.0.user == next.0.user) {
                let mut seen = HashSet::new();
                for (event, page) in life {
                    let films: HashSet<usize> = page.iter().copied().collect();
                    assert_eq!((page.len(), films.len()), (40, 40));
                    assert!(films.contains(&event.item) && films.is_disjoint(&seen));
                    seen.insert(event.item);
                }
            }
        }
    }

    #[test]
    fn ratings_show_the_taste() {
        let world = World::new(100, 7);
        let (mut liked, mut others) = (vec![], vec![]);
        for event in events(&world) {
            let liking = liking(&world.user(event.user), &world.items[event.item]);
            let ratings = if liking > 1.5 {
                &mut liked
            } else {
                &mut others
            };
            ratings.push(f64::from(event.rating));
        }
        let mean = |ratings: &[f64]| ratings.iter().sum::<f64>() / ratings.len() as f64;
        assert!(mean(&liked) > mean(&others) + 0.7);
    }
}
