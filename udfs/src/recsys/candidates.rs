//! What may be proposed, and the best of it.

use datafusion::common::exec_datafusion_err;
use datafusion::error::Result;

/// Scores looked at together. Nearly all of them are too low, and a whole stride of such
/// costs one comparison a vector.
const STRIDE: usize = 64;

/// A count or bound given as a BIGINT.
///
/// # Errors
/// Fails when it is negative.
pub(super) fn size(function: &str, what: &str, given: i64) -> Result<usize> {
    usize::try_from(given)
        .map_err(|_| exec_datafusion_err!("{function}: {what} is {given}, it cannot be negative"))
}

/// The items that may be proposed for one row.
#[derive(Debug)]
pub(super) struct Allowed {
    horizon: usize,
    /// Sorted.
    excluded: Vec<i64>,
}

impl Allowed {
    /// Allows the items below `horizon` that are not `excluded`.
    pub(super) fn new(horizon: usize, excluded: &[i64]) -> Self {
        let mut excluded = excluded.to_vec();
        excluded.sort_unstable();
        Self { horizon, excluded }
    }

    /// No item from here on may be proposed.
    pub(super) fn horizon(&self) -> usize {
        self.horizon
    }

    /// Whether `item` may be proposed.
    pub(super) fn has(&self, item: usize) -> bool {
        item < self.horizon && self.excluded.binary_search(&(item as i64)).is_err()
    }
}

/// The items of highest score among those offered; of equal scores, the smaller index.
#[derive(Debug)]
pub(super) struct Best {
    count: usize,
    /// What a score must exceed to count.
    bar: f32,
    kept: Vec<(f32, i64)>,
}

impl Best {
    /// The best `count` items whose score is above `floor`.
    pub(super) fn new(count: usize, floor: f32) -> Self {
        Self {
            count,
            bar: if count == 0 { f32::INFINITY } else { floor },
            kept: vec![],
        }
    }

    /// Offers items `first..` with their `scores`. Items must come in the order of their
    /// indexes, over all calls: one that only equals the bar then ranks below those kept.
    pub(super) fn offer(&mut self, first: usize, scores: &[f32], allowed: impl Fn(usize) -> bool) {
        for (start, stride) in (first..).step_by(STRIDE).zip(scores.chunks(STRIDE)) {
            // No early exit, so that the loop becomes vector instructions.
            let any = stride
                .iter()
                .fold(false, |any, score| any | (*score > self.bar));
            if !any {
                continue;
            }
            for (item, score) in (start..).zip(stride) {
                if *score > self.bar && allowed(item) {
                    self.keep(*score, item as i64);
                }
            }
        }
    }

    /// Keeps twice as many as asked before it drops the worse half, which makes the
    /// price of an item that passed the bar constant.
    fn keep(&mut self, score: f32, item: i64) {
        self.kept.push((score, item));
        if self.kept.len() == self.count.saturating_mul(2) {
            self.kept.select_nth_unstable_by(self.count - 1, higher);
            self.kept.truncate(self.count);
            self.bar = self.kept[self.count - 1].0;
        }
    }

    /// Appends the best to `items`, best first.
    pub(super) fn finish(mut self, items: &mut Vec<i64>) {
        self.kept.sort_unstable_by(higher);
        items.extend(self.kept.iter().take(self.count).map(|(_, item)| item));
    }
}

/// Scores are compared as numbers (0 equals -0); none is NaN, which is above no bar.
fn higher(a: &(f32, i64), b: &(f32, i64)) -> std::cmp::Ordering {
    let scores = b.0.partial_cmp(&a.0).unwrap_or(std::cmp::Ordering::Equal);
    scores.then(a.1.cmp(&b.1))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn only_allowed_items_pass() {
        let allowed = Allowed::new(4, &[9, 1, -1]);
        let passed: Vec<usize> = (0..6).filter(|item| allowed.has(*item)).collect();
        assert_eq!(passed, [0, 2, 3]);
    }

    #[test]
    fn what_is_no_number_is_never_best() {
        let mut best = Best::new(2, f32::NEG_INFINITY);
        best.offer(0, &[f32::NAN, 1.0, f32::NAN, 2.0], |_| true);
        let mut items = vec![];
        best.finish(&mut items);
        assert_eq!(items, [3, 1]);
    }

    proptest! {
        /// Few different scores, so that most are ties.
        #[test]
        fn the_best_are_those_of_a_full_sort(
            scores in prop::collection::vec(-3..4_i8, 0..700),
            piece in 1..200_usize,
            horizon in 0..800_usize,
            excluded in prop::collection::vec(-2..700_i64, 0..300),
            count in 0..50_usize,
            floor in prop::sample::select(vec![f32::NEG_INFINITY, 0.0]),
        ) {
            // Some of the zeros are negative ones.
            let scores: Vec<f32> = (0..)
                .zip(scores)
                .map(|(i, score)| if i % 3 == 0 { -f32::from(score) } else { f32::from(score) })
                .collect();
            let mut expected: Vec<usize> = (0..scores.len().min(horizon))
                .filter(|i| !excluded.contains(&(*i as i64)) && scores[*i] > floor)
                .collect();
            expected.sort_by(|a, b| scores[*b].partial_cmp(&scores[*a]).unwrap().then(a.cmp(b)));
            expected.truncate(count);

            let allowed = Allowed::new(horizon, &excluded);
            let mut best = Best::new(count, floor);
            for (i, piece_of) in scores.chunks(piece).enumerate() {
                best.offer(i * piece, piece_of, |item| allowed.has(item));
            }
            let mut found = vec![];
            best.finish(&mut found);
            prop_assert_eq!(found, expected.iter().map(|i| *i as i64).collect::<Vec<_>>());
        }
    }
}
