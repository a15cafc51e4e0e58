//! Prompts whose keys and values are kept for the next caller.

use std::collections::VecDeque;
use std::rc::Rc;

use super::cache::Cache;

/// A prompt that has been through the model.
#[derive(Debug)]
pub struct Prefix {
    /// Its tokens.
    pub tokens: Vec<u32>,
    /// Their keys and values, in one row.
    pub cache: Cache,
    /// The next-token logits after the last of them.
    pub logits: Vec<f32>,
}

impl Prefix {
    fn bytes(&self) -> usize {
        self.cache.bytes() + (self.tokens.len() + self.logits.len()) * size_of::<f32>()
    }
}

/// The most recently used prompts, up to a number of bytes.
#[derive(Debug)]
pub struct Prefixes {
    limit: usize,
    bytes: usize,
    /// The most recent first.
    recent: VecDeque<Rc<Prefix>>,
}

impl Prefixes {
    /// An empty store of at most `limit` bytes.
    pub fn new(limit: usize) -> Self {
        Self {
            limit,
            bytes: 0,
            recent: VecDeque::new(),
        }
    }

    /// The kept prompt that begins with the most of `tokens`, and how many; of
    /// several the most recent.
    pub fn longest(&mut self, tokens: &[u32]) -> Option<(Rc<Prefix>, usize)> {
        let shared = |prefix: &Rc<Prefix>| {
            let pairs = prefix.tokens.iter().zip(tokens);
            pairs.take_while(|(kept, asked)| kept == asked).count()
        };
        let lengths = self.recent.iter().map(shared).enumerate().rev();
        let (index, length) = lengths.max_by_key(|&(_, length)| length)?;
        if length == 0 {
            return None;
        }
        let prefix = self.recent.remove(index)?;
        self.recent.push_front(Rc::clone(&prefix));
        Some((prefix, length))
    }

    /// Keeps a prompt, and forgets the least recently used beyond the limit.
    pub fn keep(&mut self, prefix: &Rc<Prefix>) {
        self.bytes += prefix.bytes();
        self.recent.push_front(Rc::clone(prefix));
        while self.bytes > self.limit
            && let Some(oldest) = self.recent.pop_back()
        {
            self.bytes -= oldest.bytes();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::llm::folder::CacheShape;

    fn prefix(tokens: &[u32]) -> Rc<Prefix> {
        let shape = CacheShape {
            layers: 1,
            heads: 1,
            width: 1,
        };
        Rc::new(Prefix {
            tokens: tokens.to_vec(),
            cache: Cache::new(shape, 1, tokens.len()),
            logits: vec![0.0],
        })
    }

    #[test]
    fn the_longest_shared_beginning_is_found() {
        let mut prefixes = Prefixes::new(1 << 20);
        prefixes.keep(&prefix(&[1, 2, 3]));
        prefixes.keep(&prefix(&[1, 2, 9, 9]));
        let (found, shared) = prefixes.longest(&[1, 2, 3, 4]).unwrap();
        assert_eq!((found.tokens.as_slice(), shared), ([1, 2, 3].as_slice(), 3));
        assert!(prefixes.longest(&[7]).is_none());
    }

    #[test]
    fn the_least_recently_used_is_forgotten() {
        let (a, b, c) = (prefix(&[1]), prefix(&[2]), prefix(&[3]));
        let mut prefixes = Prefixes::new(a.bytes() + b.bytes());
        prefixes.keep(&a);
        prefixes.keep(&b);
        assert!(prefixes.longest(&[1]).is_some());
        prefixes.keep(&c);
        assert!(prefixes.longest(&[2]).is_none());
        assert!(prefixes.longest(&[1]).is_some());
        assert_eq!(prefixes.bytes, a.bytes() + c.bytes());
    }
}
