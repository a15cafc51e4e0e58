//! Who is whose friend.
//!
//! Users stand on a ring, those who love the same genre most beside each other, but for one in
//! five who stands anywhere. Everybody is a friend of both neighbours, and of each of the three
//! next ones on either side at even odds: two to eight friends, mostly of one taste.

use super::draws::Draws;
use super::world::World;

/// How often a user stands with those of another taste.
const STRAY: f64 = 0.2;

/// How far away on the ring friends stand at most, and how often those who are no neighbours
/// are friends.
const REACH: usize = 4;
const EVEN: f64 = 0.5;

/// All friendships of a world.
#[derive(Debug)]
pub(super) struct Ring {
    seed: u64,
    /// The users in the order in which they stand.
    order: Vec<usize>,
    /// The place of each user in `order`.
    place: Vec<usize>,
}

impl Ring {
    pub(super) fn new(world: &World) -> Self {
        let mut keys: Vec<_> = (0..world.user_count())
            .map(|user| (stand(world, user), user))
            .collect();
        keys.sort_unstable();
        let order: Vec<usize> = keys.into_iter().map(|(_, user)| user).collect();
        let mut place = vec![0; order.len()];
        for (position, &user) in order.iter().enumerate() {
            place[user] = position;
        }
        Self {
            seed: world.seed,
            order,
            place,
        }
    }

    /// The friends of the user at position `user`, in the order of their positions.
    pub(super) fn friends(&self, user: usize) -> Vec<usize> {
        let (count, place) = (self.order.len(), self.place[user]);
        let mut friends = vec![];
        for distance in 1..=REACH.min(count - 1) {
            for other in [place + distance, place + count - distance] {
                let other = self.order[other % count];
                if distance == 1 || self.meet(user, other) {
                    friends.push(other);
                }
            }
        }
        // On a small ring one gets to the same user both ways round.
        friends.sort_unstable();
        friends.dedup();
        friends
    }

    /// Whether two users who stand near each other are friends; the same both ways.
    fn meet(&self, one: usize, other: usize) -> bool {
        let pair = (one.min(other) << 32) | one.max(other);
        Draws::keyed(self.seed, "friends", pair).chance(EVEN)
    }
}

/// What users stand in the order of: a genre, and a draw.
fn stand(world: &World, user: usize) -> (usize, usize) {
    let mut draws = Draws::keyed(world.seed, "ring", user);
    let taste = world.user(user).taste;
    let loved = (0..taste.len()).max_by(|&one, &other| taste[one].total_cmp(&taste[other]));
    let genre = match loved {
        Some(loved) if !draws.chance(STRAY) => loved,
        _ => draws.below(taste.len()),
    };
    (genre, draws.below(usize::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn loves(world: &World, user: usize) -> Vec<usize> {
        let taste = world.user(user).taste;
        (0..taste.len())
            .filter(|&genre| taste[genre] > 1.0)
            .collect()
    }

    #[test]
    fn friendship_is_mutual_and_nobody_is_their_own_friend() {
        for users in [2, 3, 5, 8, 9, 300] {
            let ring = Ring::new(&World::new(users, 7));
            for user in 0..users {
                let friends = ring.friends(user);
                assert!(
                    (2.min(users - 1)..=8).contains(&friends.len()),
                    "{friends:?}"
                );
                assert!(friends.is_sorted_by(|one, next| one < next));
                assert!(!friends.contains(&user));
                assert!(
                    friends
                        .iter()
                        .all(|&friend| ring.friends(friend).contains(&user))
                );
            }
        }
    }

    #[test]
    fn one_user_alone_has_no_friends() {
        assert!(Ring::new(&World::new(1, 7)).friends(0).is_empty());
    }

    #[test]
    fn friends_share_a_loved_genre_more_often_than_strangers() {
        let world = World::new(400, 7);
        let ring = Ring::new(&world);
        let share = |pairs: Vec<(usize, usize)>| {
            let alike = pairs.iter().filter(|&&(one, other)| {
                let loved = loves(&world, one);
                loves(&world, other)
                    .iter()
                    .any(|genre| loved.contains(genre))
            });
            alike.count() as f64 / pairs.len() as f64
        };
        let friends = (0..400).flat_map(|user| {
            let friends = ring.friends(user);
            friends.into_iter().map(move |friend| (user, friend))
        });
        let strangers = (0..400).map(|user| (user, (user + 1) % 400));
        let (friends, strangers) = (share(friends.collect()), share(strangers.collect()));
        assert!(
            friends > 0.6 && friends > strangers + 0.2,
            "{friends} {strangers}"
        );
    }
}
