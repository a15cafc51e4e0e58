//! What may be proposed, and the best of it.

use datafusion::common::exec_datafusion_err;
use datafusion::error::Result;

/// A count or bound given as a BIGINT.
///
/// # Errors
/// Fails when it is negative.
pub(super) fn size(function: &str, what: &str, given: i64) -> Result<usize> {
    usize::try_from(given)
        .map_err(|_| exec_datafusion_err!("{function}: {what} is {given}, it cannot be negative"))
}

/// The items that may be proposed for one row.
#[derive(Debug, Default)]
pub(super) struct Allowed {
    items: Vec<bool>,
}

impl Allowed {
    /// Allows the items below `horizon` that are not `excluded`.
    pub(super) fn set(&mut self, horizon: usize, excluded: &[i64]) {
        self.items.clear();
        self.items.resize(horizon, true);
        excluded.iter().for_each(|item| self.forbid(*item));
    }

    /// Takes one item out; one that is no item is out already.
    pub(super) fn forbid(&mut self, item: i64) {
        let item = usize::try_from(item).ok();
        if let Some(allowed) = item.and_then(|item| self.items.get_mut(item)) {
            *allowed = false;
        }
    }

    /// Whether `item` may be proposed.
    pub(super) fn has(&self, item: usize) -> bool {
        self.items.get(item).is_some_and(|allowed| *allowed)
    }
}

/// Appends to `best` the `count` items of highest score, highest first.
pub(super) fn take_best(scored: &mut Vec<(f32, i64)>, count: usize, best: &mut Vec<i64>) {
    let higher = |a: &(f32, i64), b: &(f32, i64)| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1));
    if count == 0 {
        return;
    }
    if count < scored.len() {
        scored.select_nth_unstable_by(count - 1, higher);
        scored.truncate(count);
    }
    scored.sort_unstable_by(higher);
    best.extend(scored.iter().map(|(_, item)| item));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_allowed_items_pass() {
        let mut allowed = Allowed::default();
        allowed.set(4, &[1, 9, -1]);
        let passed: Vec<usize> = (0..6).filter(|item| allowed.has(*item)).collect();
        assert_eq!(passed, [0, 2, 3]);
    }

    #[test]
    fn ties_go_to_the_smaller_index() {
        let scored = vec![(0.5, 7), (0.9, 3), (0.5, 1), (0.1, 0)];
        for (count, expected) in [(0, &[][..]), (2, &[3, 1]), (9, &[3, 1, 7, 0])] {
            let mut best = vec![];
            take_best(&mut scored.clone(), count, &mut best);
            assert_eq!(best, expected);
        }
    }
}
