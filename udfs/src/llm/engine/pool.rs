//! The decisions being written now, all advanced by one token a step.

use std::rc::Rc;

use super::prefixes::Prefix;
use super::row::Row;
use super::shared::{Extent, SharedCache};
use super::{Lexicon, rounded_up};
use crate::llm::backend::{Finish, ModelError};
use crate::llm::graph::{Draw, Graph};
use crate::llm::sampler::Sampler;
use crate::llm::store::Store;

/// Draws get room for so many tokens more at a time. That a step looks at no more than it
/// must is worth more than that room is seldom made.
const LENGTHENED_BY: usize = 64;

/// Places that there may be, in units of slots: as its draws end, a prompt's places fall
/// empty, while the slots go to the draws of another.
const PLACES_PER_SLOT: usize = 2;

/// A prompt, and its draws in the order of their places.
#[derive(Debug)]
struct Prompt {
    prefix: Rc<Prefix>,
    rows: Vec<Row>,
}

/// What draws of one prompt need.
#[derive(Debug, Clone, Copy)]
pub struct Need {
    /// How many draws.
    pub draws: usize,
    /// Tokens of the prompt.
    pub prompt: usize,
    /// The most tokens of one draw.
    pub limit: usize,
}

/// Prompts with draws in work and, at the same indexes, their keys and values.
#[derive(Debug)]
pub struct Pool {
    store: Store,
    /// The most draws in work.
    slots: usize,
    /// The most bytes of keys and values.
    bytes: usize,
    /// The most tokens of a draw, of those that have come since the pool was empty.
    limit: usize,
    cache: SharedCache,
    prompts: Vec<Prompt>,
    sampler: Sampler,
}

impl Pool {
    /// An empty pool of up to `slots` draws and `bytes` of keys and values.
    pub fn new(store: Store, slots: usize, bytes: usize) -> Self {
        Self {
            slots,
            bytes,
            limit: 0,
            cache: SharedCache::empty(&store),
            store,
            prompts: Vec::new(),
            sampler: Sampler::default(),
        }
    }

    /// Draws in work.
    pub fn live(&self) -> usize {
        self.prompts.iter().map(|prompt| prompt.rows.len()).sum()
    }

    /// Whether all draws of a prompt, or as many as there are slots, can be added now. They
    /// always can when the pool is empty.
    pub fn has_room(&self, need: Need) -> bool {
        let together = self.live() + need.draws.min(self.slots);
        self.prompts.is_empty() || (together <= self.slots && self.takes(need))
    }

    /// Whether one more prompt fits.
    fn takes(&self, need: Need) -> bool {
        self.prompts.is_empty() || self.prompts.len() < self.extent_for(need).prompts
    }

    /// Whether `row` can be added now. One always can when the pool is empty.
    pub fn has_place(&self, row: &Row) -> bool {
        self.live() < self.slots && (self.prompt_of(row).is_some() || self.takes(row.need()))
    }

    /// The row's prompt, if it is here and has a place free.
    fn prompt_of(&self, row: &Row) -> Option<usize> {
        let places = self.cache.extent().places;
        self.prompts
            .iter()
            .position(|prompt| prompt.prefix.is(row.prefix()) && prompt.rows.len() < places)
    }

    /// Draws a row's first token and, if that does not end it, adds it. Returns
    /// it when it ended.
    pub fn start(
        &mut self,
        mut row: Row,
        lexicon: &Lexicon,
    ) -> Result<Option<(Row, Finish)>, ModelError> {
        if let Some(finish) = row.begin(&mut self.sampler, lexicon)? {
            return Ok(Some((row, finish)));
        }
        let prompt = match self.prompt_of(&row) {
            Some(prompt) => prompt,
            None => self.add_prompt(&row)?,
        };
        self.prompts[prompt].rows.push(row);
        Ok(None)
    }

    fn add_prompt(&mut self, row: &Row) -> Result<usize, ModelError> {
        self.reserve(row.need())?;
        let prefix = Rc::clone(row.prefix());
        self.cache
            .add_prompt(prefix.pieces.iter().map(|piece| &piece.cache));
        let rows = Vec::with_capacity(self.cache.extent().places);
        self.prompts.push(Prompt { prefix, rows });
        Ok(self.prompts.len() - 1)
    }

    /// Writes one token to every row; returns the rows that ended.
    ///
    /// # Errors
    /// When the graph fails; no row can then go on.
    pub fn step(
        &mut self,
        graph: &mut Graph,
        lexicon: &Lexicon,
    ) -> Result<Vec<(Row, Finish)>, ModelError> {
        let draws = self.draws();
        let longest = draws.iter().map(|draw| draw.written).max();
        if longest >= Some(self.cache.extent().written) {
            let written = self.cache.extent().written + LENGTHENED_BY;
            self.cache.lengthen(written)?;
        }
        let logits = graph.write(&mut self.cache, &draws)?;
        let mut ended = Vec::new();
        let prompts = self.prompts.iter_mut().enumerate();
        let rows = prompts.flat_map(|(index, prompt)| {
            let rows = prompt.rows.iter_mut().enumerate();
            rows.map(move |(place, row)| (index, place, row))
        });
        for ((prompt, place, row), logits) in rows.zip(logits) {
            if let Some(finish) = row.advance(logits, draws.len(), &mut self.sampler, lexicon)? {
                ended.push((prompt, place, finish));
            }
        }
        // From the last, so that what moves into a hole is never itself ended.
        let ended = ended.into_iter().rev();
        Ok(ended
            .map(|(prompt, place, finish)| (self.remove(prompt, place), finish))
            .collect())
    }

    /// What the model is to be given.
    fn draws(&self) -> Vec<Draw> {
        let places = self.cache.extent().places;
        let prompts = self.prompts.iter().enumerate();
        prompts
            .flat_map(|(index, prompt)| {
                let rows = prompt.rows.iter().enumerate();
                rows.map(move |(place, row)| Draw {
                    place: index * places + place,
                    written: row.read(),
                    token: row.next(),
                })
            })
            .collect()
    }

    /// Frees the rows that `keep` refuses.
    pub fn retain(&mut self, keep: impl Fn(&Row) -> bool) {
        for prompt in (0..self.prompts.len()).rev() {
            for place in (0..self.prompts[prompt].rows.len()).rev() {
                if !keep(&self.prompts[prompt].rows[place]) {
                    self.remove(prompt, place);
                }
            }
        }
    }

    /// Gives up half of the draws, and room for more than the others from now on. Returns them;
    /// none when there is but one.
    pub fn shed(&mut self) -> Vec<Row> {
        let kept = self.live() / 2;
        if kept == 0 {
            return Vec::new();
        }
        let mut shed = Vec::new();
        while self.live() > kept
            && let Some(last) = self.prompts.last()
        {
            let (prompt, place) = (self.prompts.len() - 1, last.rows.len() - 1);
            shed.push(self.remove(prompt, place));
        }
        self.slots = kept;
        self.bytes /= 2;
        let extent = Extent {
            prompts: self.prompts.len(),
            ..self.cache.extent()
        };
        // Where there is no memory even to copy what is left, it stays where it is.
        if let Ok(smaller) = self.cache.widened(extent) {
            self.cache = smaller;
        }
        shed
    }

    /// Takes a row out, and its prompt if it was the last.
    fn remove(&mut self, index: usize, place: usize) -> Row {
        let rows = &mut self.prompts[index].rows;
        let row = rows.swap_remove(place);
        if let Some(moved) = rows.get(place) {
            let first = index * self.cache.extent().places;
            let from = first + rows.len();
            self.cache.move_draw(first + place, from, moved.read());
        }
        if rows.is_empty() {
            self.prompts.swap_remove(index);
            self.cache.remove_prompt(index);
        }
        row
    }

    /// Makes room for one more prompt.
    fn reserve(&mut self, need: Need) -> Result<(), ModelError> {
        let extent = self.extent_for(need);
        if self.prompts.is_empty() {
            self.limit = need.limit;
            if extent != self.cache.extent() {
                self.cache = SharedCache::empty(&self.store);
                self.cache = self.made(extent)?;
            }
            return Ok(());
        }
        self.limit = self.limit.max(need.limit);
        let now = self.cache.extent();
        if (extent.places, extent.read) != (now.places, now.read)
            || self.prompts.len() == now.prompts
        {
            self.cache = self.cache.widened(extent)?;
        }
        Ok(())
    }

    /// An empty cache of this extent or, where memory is short, for fewer prompts.
    fn made(&mut self, mut extent: Extent) -> Result<SharedCache, ModelError> {
        loop {
            match SharedCache::new(&self.store, extent) {
                Err(ModelError::Memory(_)) if extent.prompts > 1 => {
                    extent.prompts /= 2;
                    self.bytes /= 2;
                }
                made => return made,
            }
        }
    }

    /// The extent of the cache with one more prompt. A pool that was empty takes any shape.
    fn extent_for(&self, need: Need) -> Extent {
        let (now, limit) = match self.prompts.is_empty() {
            true => (Extent::default(), 0),
            false => (self.cache.extent(), self.limit),
        };
        // Two at least: a draw that is alone may need an idle one beside it.
        let places = now.places.max(need.draws.min(self.slots)).max(2);
        let longest = Extent {
            prompts: 1,
            places,
            read: now.read.max(rounded_up(need.prompt + 1)),
            written: limit.max(need.limit).next_multiple_of(LENGTHENED_BY),
        };
        let most = (PLACES_PER_SLOT * self.slots / places).max(1);
        let prompts = self.bytes / longest.prompt_bytes(&self.store).max(1);
        Extent {
            prompts: prompts.clamp(1, most),
            written: now.written.max(LENGTHENED_BY),
            ..longest
        }
    }
}
