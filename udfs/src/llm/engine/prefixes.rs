//! Prompts whose keys and values are kept for the next caller, as a trie of pieces.

use std::collections::HashMap;
use std::rc::Rc;

use super::cache::Cache;

/// Tokens of a piece; the last of a prompt may be shorter. A prompt is always cut at the same
/// places, and what is kept is only reused piece by piece: every run of the model is then one
/// that would have been made anyway, so what was kept cannot change a result, not by a bit.
/// (Runs of other lengths round otherwise.) Shorter pieces reuse more and compute slower: 128 is
/// a twentieth or so below the best length, 64 twice that.
pub const PIECE: usize = 128;

/// Neighbouring tokens of a prompt.
#[derive(Debug)]
pub struct Piece {
    /// The tokens.
    pub tokens: Box<[u32]>,
    /// Their keys and values, which fill its only row.
    pub cache: Cache,
}

impl Piece {
    fn bytes(&self) -> usize {
        self.cache.bytes() + size_of_val(&*self.tokens)
    }
}

/// A prompt that has been through the model.
#[derive(Debug, Clone)]
pub struct Prefix {
    /// Its pieces in order.
    pub pieces: Vec<Rc<Piece>>,
    /// The next-token logits after the last of them.
    pub logits: Rc<[f32]>,
}

impl Prefix {
    /// How many tokens it has.
    pub fn tokens(&self) -> usize {
        self.pieces.iter().map(|piece| piece.tokens.len()).sum()
    }

    /// Whether the two are one prompt in the same memory.
    pub fn is(&self, other: &Self) -> bool {
        // A piece belongs to one beginning.
        match (self.pieces.last(), other.pieces.last()) {
            (Some(one), Some(other)) => Rc::ptr_eq(one, other),
            _ => false,
        }
    }
}

/// The root's number, which no node has.
const ROOT: u64 = 0;

/// A kept piece after all that comes before it.
#[derive(Debug)]
struct Node {
    parent: u64,
    piece: Rc<Piece>,
    /// Nodes that it is the parent of.
    children: usize,
    /// The next-token logits, if a prompt ended here.
    logits: Option<Rc<[f32]>>,
    /// When it was last asked for.
    used: u64,
}

impl Node {
    fn bytes(&self) -> usize {
        self.piece.bytes() + self.logits.as_deref().map_or(0, size_of_val)
    }
}

/// The most recently used pieces, up to a number of bytes.
#[derive(Debug)]
pub struct Prefixes {
    limit: usize,
    bytes: usize,
    nodes: HashMap<u64, Node>,
    /// The node of each parent and the tokens that follow it.
    children: HashMap<(u64, Box<[u32]>), u64>,
    /// Nodes made so far.
    made: u64,
    /// Times asked so far.
    asked: u64,
}

impl Prefixes {
    /// An empty store of at most `limit` bytes.
    pub fn new(limit: usize) -> Self {
        Self {
            limit,
            bytes: 0,
            nodes: HashMap::new(),
            children: HashMap::new(),
            made: ROOT,
            asked: 0,
        }
    }

    /// The kept pieces that a prompt begins with and, if it is kept whole, its logits.
    pub fn find(&mut self, tokens: &[u32]) -> (Vec<Rc<Piece>>, Option<Rc<[f32]>>) {
        self.asked += 1;
        let mut at = ROOT;
        let mut pieces = Vec::new();
        for piece in tokens.chunks(PIECE) {
            let Some(&child) = self.children.get(&(at, piece.into())) else {
                return (pieces, None);
            };
            at = child;
            if let Some(node) = self.nodes.get_mut(&at) {
                node.used = self.asked;
                pieces.push(Rc::clone(&node.piece));
            }
        }
        let last = self.nodes.get(&at);
        (pieces, last.and_then(|node| node.logits.clone()))
    }

    /// Keeps a prompt, and forgets the least recently used beyond the limit.
    pub fn keep(&mut self, prefix: &Prefix) {
        let mut at = ROOT;
        for piece in &prefix.pieces {
            at = self.child(at, piece);
        }
        if let Some(node) = self.nodes.get_mut(&at) {
            self.bytes -= node.bytes();
            node.logits = Some(Rc::clone(&prefix.logits));
            self.bytes += node.bytes();
        }
        while self.bytes > self.limit && self.forget() {}
    }

    /// The node of `piece` after `parent`, made if it is not there.
    fn child(&mut self, parent: u64, piece: &Rc<Piece>) -> u64 {
        let key = (parent, piece.tokens.clone());
        if let Some(&child) = self.children.get(&key) {
            return child;
        }
        self.made += 1;
        let node = Node {
            parent,
            piece: Rc::clone(piece),
            children: 0,
            logits: None,
            used: self.asked,
        };
        self.bytes += node.bytes();
        self.nodes.insert(self.made, node);
        self.children.insert(key, self.made);
        if let Some(parent) = self.nodes.get_mut(&parent) {
            parent.children += 1;
        }
        self.made
    }

    /// Forgets everything. Says whether there was anything.
    pub fn clear(&mut self) -> bool {
        let had = !self.nodes.is_empty();
        *self = Self::new(self.limit);
        had
    }

    /// Forgets the least recently used of the pieces that none follows. Says whether there was
    /// one.
    fn forget(&mut self) -> bool {
        let leaves = self.nodes.iter().filter(|(_, node)| node.children == 0);
        // Of those asked for together the youngest, which is furthest from the beginning.
        let oldest = leaves.min_by_key(|&(&number, node)| (node.used, u64::MAX - number));
        let Some(node) = oldest
            .map(|(&number, _)| number)
            .and_then(|number| self.nodes.remove(&number))
        else {
            return false;
        };
        self.bytes -= node.bytes();
        self.children
            .remove(&(node.parent, node.piece.tokens.clone()));
        if let Some(parent) = self.nodes.get_mut(&node.parent) {
            parent.children -= 1;
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::llm::folder::CacheShape;
    use crate::llm::store::tests::stores;

    fn prefix(tokens: &[u32]) -> Prefix {
        let shape = CacheShape {
            layers: 1,
            heads: 1,
            width: 1,
        };
        let [store, ..] = stores(shape);
        let piece = |tokens: &[u32]| {
            Rc::new(Piece {
                tokens: tokens.into(),
                cache: Cache::new(&store, 1, tokens.len()).unwrap(),
            })
        };
        Prefix {
            pieces: tokens.chunks(PIECE).map(piece).collect(),
            logits: Rc::new([0.0]),
        }
    }

    /// `common` times the token 1 and then `own` times `token`.
    fn tokens(common: usize, own: usize, token: u32) -> Vec<u32> {
        [vec![1; common], vec![token; own]].concat()
    }

    /// Tokens that are kept of a prompt, and whether all of it is.
    fn kept(prefixes: &mut Prefixes, tokens: &[u32]) -> (usize, bool) {
        let (pieces, logits) = prefixes.find(tokens);
        let counts = pieces.iter().map(|piece| piece.tokens.len());
        (counts.sum(), logits.is_some())
    }

    #[test]
    fn whole_pieces_are_reused_and_prompts_end_to_end() {
        let mut prefixes = Prefixes::new(1 << 20);
        prefixes.keep(&prefix(&tokens(2 * PIECE, 10, 2)));
        for (asked, expected) in [
            (tokens(2 * PIECE, 10, 2), (2 * PIECE + 10, true)),
            (tokens(2 * PIECE, 10, 3), (2 * PIECE, false)),
            (tokens(2 * PIECE, 11, 2), (2 * PIECE, false)),
            (tokens(2 * PIECE, 0, 2), (2 * PIECE, false)),
            (tokens(PIECE + 5, PIECE, 2), (PIECE, false)),
            (tokens(5, PIECE, 2), (0, false)),
        ] {
            assert_eq!(kept(&mut prefixes, &asked), expected);
        }
        prefixes.keep(&prefix(&tokens(2 * PIECE, 0, 2)));
        let end = kept(&mut prefixes, &tokens(2 * PIECE, 0, 2));
        assert_eq!(end, (2 * PIECE, true));
    }

    #[test]
    fn what_prompts_have_in_common_is_kept_once_and_longest() {
        let (a, b) = (tokens(PIECE, PIECE, 2), tokens(PIECE, PIECE, 3));
        let mut all = Prefixes::new(usize::MAX);
        all.keep(&prefix(&a));
        let alone = all.bytes;
        all.keep(&prefix(&b));
        assert!(all.bytes < 2 * alone);
        // Room for one of the two.
        let mut prefixes = Prefixes::new(alone);
        for prompt in [&a, &b] {
            prefixes.find(prompt);
            prefixes.keep(&prefix(prompt));
        }
        assert_eq!(kept(&mut prefixes, &a), (PIECE, false));
        assert_eq!(kept(&mut prefixes, &b), (2 * PIECE, true));
        assert_eq!(prefixes.bytes, alone);
    }

    #[test]
    fn the_least_recently_used_is_forgotten() {
        let prompts: Vec<_> = (1..4).map(|token| tokens(0, PIECE, token)).collect();
        let mut prefixes = Prefixes::new(usize::MAX);
        prefixes.keep(&prefix(&prompts[0]));
        prefixes.limit = 2 * prefixes.bytes;
        prefixes.find(&prompts[1]);
        prefixes.keep(&prefix(&prompts[1]));
        prefixes.find(&prompts[0]);
        prefixes.keep(&prefix(&prompts[2]));
        let found = prompts.iter().map(|prompt| kept(&mut prefixes, prompt).1);
        assert_eq!(found.collect::<Vec<_>>(), [true, false, true]);
    }

    #[test]
    fn nothing_is_kept_without_room() {
        let mut prefixes = Prefixes::new(0);
        let prompt = tokens(3 * PIECE, 7, 2);
        prefixes.keep(&prefix(&prompt));
        assert_eq!(kept(&mut prefixes, &prompt), (0, false));
        assert_eq!((prefixes.bytes, prefixes.children.len()), (0, 0));
    }
}
