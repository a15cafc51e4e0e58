//! Keyed draws: every random number of a world follows from (seed, purpose, row, index).

use twox_hash::XxHash3_64;

/// An endless stream of draws that depends on its key alone, never on what else was drawn.
pub(super) struct Draws {
    state: u64,
}

impl Draws {
    /// The stream of one `row` for one `purpose`.
    pub(super) fn keyed(seed: u64, purpose: &str, row: usize) -> Self {
        let mut key = purpose.as_bytes().to_vec();
        key.extend_from_slice(&(row as u64).to_le_bytes());
        Self {
            state: XxHash3_64::oneshot_with_seed(seed, &key),
        }
    }

    /// A whole number below `bound` (which must be positive), all equally likely.
    pub(super) fn below(&mut self, bound: usize) -> usize {
        // The high half of a 128-bit product: no modulo bias worth noticing.
        ((u128::from(self.next()) * bound as u128) >> 64) as usize
    }

    /// A whole number in `low..=high`.
    pub(super) fn between(&mut self, low: i64, high: i64) -> i64 {
        low + self.below((high - low + 1) as usize) as i64
    }

    /// A number in `[0, 1)`.
    pub(super) fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// A draw of mean 0 and variance 1, near enough to a normal one.
    ///
    /// Twelve uniform draws need no logarithm, so that the same seed gives the same bytes on
    /// every platform.
    pub(super) fn normal(&mut self) -> f64 {
        (0..12).map(|_| self.unit()).sum::<f64>() - 6.0
    }

    /// True with the given probability.
    pub(super) fn chance(&mut self, probability: f64) -> bool {
        self.unit() < probability
    }

    /// `count` distinct numbers below `bound`, in random order (all of them when there are fewer).
    pub(super) fn distinct(&mut self, bound: usize, count: usize) -> Vec<usize> {
        Urn::new(bound).draw(self, count).to_vec()
    }

    /// SplitMix64 (Steele, Lea and Flood, 2014).
    fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}

/// The numbers below a bound, from which distinct ones are drawn again and again.
///
/// A hand costs time by its own length and not by the bound: the next drawing puts back
/// what the last one moved.
pub(super) struct Urn {
    numbers: Vec<usize>,
    moved: Vec<usize>,
    hand: Vec<usize>,
}

impl Urn {
    /// An urn of the numbers below `bound`.
    pub(super) fn new(bound: usize) -> Self {
        Self {
            numbers: (0..bound).collect(),
            moved: vec![],
            hand: vec![],
        }
    }

    /// `count` distinct numbers in random order (all of them when there are fewer).
    pub(super) fn draw(&mut self, draws: &mut Draws, count: usize) -> &[usize] {
        for &place in &self.moved {
            self.numbers[place] = place;
        }
        self.moved.clear();
        self.hand.clear();
        let bound = self.numbers.len();
        for place in 0..count.min(bound) {
            // A shuffle as far as it is needed: what is drawn leaves its place to the first
            // number, and no later draw looks at the first place again.
            let other = place + draws.below(bound - place);
            self.hand.push(self.numbers[other]);
            self.numbers[other] = self.numbers[place];
            self.moved.push(other);
        }
        &self.hand
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_follows_from_its_key() {
        let take = |seed, purpose, row| Draws::keyed(seed, purpose, row).next();
        assert_eq!(take(1, "item", 3), take(1, "item", 3));
        assert_ne!(take(1, "item", 3), take(2, "item", 3));
        assert_ne!(take(1, "item", 3), take(1, "user", 3));
        assert_ne!(take(1, "item", 3), take(1, "item", 4));
    }

    #[test]
    fn distinct_numbers_are_distinct() {
        let mut drawn = Draws::keyed(7, "test", 0).distinct(50, 40);
        drawn.sort_unstable();
        drawn.dedup();
        assert_eq!(drawn.len(), 40);
        assert!(drawn.iter().all(|&number| number < 50));
    }

    #[test]
    fn an_urn_forgets_its_last_hand() {
        let mut urn = Urn::new(50);
        for (row, count) in [(0, 40), (1, 3), (2, 60), (3, 10)] {
            let mut draws = Draws::keyed(7, "test", row);
            let hand = urn.draw(&mut draws, count).to_vec();
            let fresh = Draws::keyed(7, "test", row).distinct(50, count);
            assert_eq!(hand, fresh);
        }
    }

    #[test]
    fn normal_draws_have_mean_zero_and_variance_one() {
        let mut draws = Draws::keyed(7, "normal", 0);
        let sample: Vec<f64> = (0..20_000).map(|_| draws.normal()).collect();
        let mean = sample.iter().sum::<f64>() / sample.len() as f64;
        let variance = sample.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / sample.len() as f64;
        assert!(
            mean.abs() < 0.03 && (variance - 1.0).abs() < 0.04,
            "{mean} {variance}"
        );
    }
}
