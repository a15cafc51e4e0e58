//! One layer's tensors, and how the work on them is divided.

use std::ops::Range;

use ort::value::Shape;

use super::INPUTS;
use super::kernel::Kernel;
use super::lanes::prefetch;
use super::rows::{Rows, Tokens, WIDTHS};

/// What takes a token out is below.
const OUT: f32 = -1e4;

/// The inputs of [`attention`](super), and what their shapes say.
#[derive(Debug)]
pub struct Layer<'a> {
    kernel: &'static Kernel,
    scale: f32,
    /// [Z, H × G, S, D]
    queries: &'a [f32],
    /// What was written, and the new tokens.
    own: [Cached<'a>; 2],
    /// How much of both a new token sees, [Z, S].
    seen: Vec<[usize; 2]>,
    prefix: Cached<'a>,
    /// Tokens that each of R prompts has behind token 0.
    read: Vec<usize>,
    /// F, of each prompt.
    places: usize,
    /// H
    heads: usize,
    /// G
    group: usize,
    /// S
    new: usize,
    /// D
    width: usize,
}

/// Keys and values, head by head.
#[derive(Debug)]
struct Cached<'a> {
    keys: &'a [f32],
    values: &'a [f32],
    /// Tokens that there is room for.
    room: usize,
    /// Numbers of a key.
    stride: usize,
}

/// A place, and some of the queries [G, S] there.
type Span = (usize, Range<usize>);

/// Where results go, [Z, S, H × G, D].
#[derive(Debug)]
pub struct Output(pub *mut f32);

// SAFETY: no two units write the same numbers, and none reads any.
unsafe impl Sync for Output {}

impl<'a> Layer<'a> {
    /// The layer of these tensors, which are in the order of the operator's inputs; none where
    /// they do not fit each other.
    pub fn new(
        kernel: &'static Kernel,
        scale: f32,
        tensors: &[(&Shape, &'a [f32])],
    ) -> Option<Self> {
        let shapes = tensors
            .iter()
            .map(|(shape, _)| shape.iter().map(|&size| size as usize));
        let shapes: Vec<Vec<_>> = shapes.map(Iterator::collect).collect();
        let &[all_places, query_heads, new, width] = shapes[0].as_slice() else {
            return None;
        };
        let (&[_, heads, past, _], &[prompts, _, prefix, stride]) =
            (shapes[3].as_slice(), shapes[5].as_slice())
        else {
            return None;
        };
        let places = all_places.checked_div(prompts)?;
        let group = query_heads.checked_div(heads)?;
        let expected: [[usize; 4]; INPUTS] = [
            [prompts * places, heads * group, new, width],
            [all_places, heads, new, width],
            [all_places, heads, new, width],
            [all_places, heads, past, width],
            [all_places, heads, past, width],
            [prompts, heads, prefix, stride],
            [prompts, heads, prefix, width],
            [all_places, 1, new, past + new],
        ];
        let fits = shapes == expected && stride > width && prefix > 0 && new > 0;
        (fits && width.is_multiple_of(WIDTHS)).then_some(())?;

        let data = |tensor: usize| tensors[tensor].1;
        let cached = |tensor, room, stride| Cached {
            keys: data(tensor),
            values: data(tensor + 1),
            room,
            stride,
        };
        let biases = data(7).chunks_exact(past + new);
        let seen = biases.map(|biases| {
            let (past, new) = biases.split_at(past);
            [past, new].map(|biases| biases.partition_point(|bias| *bias > OUT))
        });
        let prompts = data(5).chunks_exact(heads * prefix * stride);
        let read = prompts.map(|keys| {
            let keys: Vec<_> = keys[stride..prefix * stride].chunks_exact(stride).collect();
            keys.partition_point(|key| key[width] > OUT)
        });
        Some(Self {
            kernel,
            scale,
            queries: data(0),
            own: [cached(3, past, width), cached(1, new, width)],
            seen: seen.collect(),
            prefix: cached(5, prefix, stride),
            read: read.collect(),
            places,
            heads,
            group,
            new,
            width,
        })
    }

    /// [Z, S, H × G × D]
    pub fn output_shape(&self) -> [usize; 3] {
        let heads = self.heads * self.group;
        [self.read.len() * self.places, self.new, heads * self.width]
    }

    /// How many parts there are to compute.
    pub fn units(&self) -> usize {
        self.read.len() * self.heads * self.blocks()
    }

    /// Rows are worked on in as many blocks.
    fn blocks(&self) -> usize {
        self.rows().div_ceil(self.kernel.most_rows())
    }

    /// Queries of a prompt that meet a head of keys and values, [F, G, S].
    fn rows(&self) -> usize {
        self.places * self.rows_of_place()
    }

    fn rows_of_place(&self) -> usize {
        self.group * self.new
    }

    /// Computes one part: a block of rows of one head of one prompt.
    pub fn compute(&self, unit: usize, output: &Output) {
        let (head, block) = (unit / self.blocks(), unit % self.blocks());
        let (prompt, head) = (head / self.heads, head % self.heads);
        let first = block * self.kernel.most_rows();
        let end = self.rows().min(first + self.kernel.most_rows());
        let spans = self.spans(prompt, first..end);
        let mut rows = self.over_all_own(head, &spans);
        self.over_prompt(prompt, head, &mut rows);

        let results = spans.into_iter();
        let results = results.flat_map(|(place, queries)| queries.map(move |query| (place, query)));
        for (row, (place, query)) in results.enumerate() {
            let at = self.result_at(place, head, query);
            // SAFETY: it is within the output's shape, and of this row alone.
            let to = unsafe { std::slice::from_raw_parts_mut(output.0.add(at), self.width) };
            rows.result(row, to);
        }
    }

    /// All queries of the spans, each over what its own text has written.
    fn over_all_own(&self, head: usize, spans: &[Span]) -> Rows {
        if let [(place, queries)] = spans {
            return self.over_own(*place, head, queries.clone());
        }
        let count = spans.iter().map(|(_, queries)| queries.len()).sum();
        let mut rows = Rows::new(self.kernel, count, self.width);
        let mut ahead = spans.iter().skip(1);
        let mut row = 0;
        for (place, queries) in spans {
            if let Some((next, _)) = ahead.next() {
                self.fetch(*next, head);
            }
            let own = self.over_own(*place, head, queries.clone());
            for other in 0..queries.len() {
                rows.take(row, &own, other);
                row += 1;
            }
        }
        rows
    }

    /// What a prompt's rows are at its places.
    fn spans(&self, prompt: usize, rows: Range<usize>) -> Vec<Span> {
        let of_place = self.rows_of_place();
        let places = rows.start / of_place..rows.end.div_ceil(of_place);
        let spans = places.map(|place| {
            let start = place * of_place;
            let end = rows.end.min(start + of_place);
            let queries = rows.start.max(start) - start..end - start;
            (prompt * self.places + place, queries)
        });
        spans.collect()
    }

    /// Has the processor fetch what a text has written, which lies by itself.
    fn fetch(&self, place: usize, head: usize) {
        let [past, _] = &self.own;
        let [seen, _] = self.seen[place * self.new];
        let tokens = past.head(place * self.heads + head, self.width);
        for numbers in [tokens.keys, tokens.values] {
            prefetch(numbers.as_ptr(), seen * self.width);
        }
    }

    /// Queries of a place over what its text has written, and over the new tokens.
    fn over_own(&self, place: usize, head: usize, queries: Range<usize>) -> Rows {
        let mut rows = Rows::new(self.kernel, queries.len(), self.width);
        let head = place * self.heads + head;
        for (row, query) in queries.clone().enumerate() {
            let first = (head * self.rows_of_place() + query) * self.width;
            rows.ask(row, &self.queries[first..first + self.width], self.scale);
        }
        for (part, cached) in self.own.iter().enumerate() {
            let seen = |query: usize| self.seen[place * self.new + query % self.new][part];
            let seen: Vec<_> = queries.clone().map(seen).collect();
            rows.attend(cached.head(head, self.width), &seen);
        }
        rows
    }

    /// Rows over the tokens of their prompt, which stand behind token 0.
    fn over_prompt(&self, prompt: usize, head: usize, rows: &mut Rows) {
        let all = self.prefix.head(prompt * self.heads + head, self.width);
        let tokens = Tokens {
            keys: &all.keys[all.stride..],
            values: &all.values[self.width..],
            ..all
        };
        rows.attend(tokens, &vec![self.read[prompt]; rows.count]);
    }

    /// Where a query's result begins.
    fn result_at(&self, place: usize, head: usize, query: usize) -> usize {
        let (of_group, new) = (query / self.new, query % self.new);
        let token = place * self.new + new;
        ((token * self.heads + head) * self.group + of_group) * self.width
    }
}

impl<'a> Cached<'a> {
    /// The tokens of a head, counted over all rows of the tensors.
    fn head(&self, head: usize, width: usize) -> Tokens<'a> {
        let (keys, values) = (self.room * self.stride, self.room * width);
        Tokens {
            keys: &self.keys[head * keys..(head + 1) * keys],
            stride: self.stride,
            values: &self.values[head * values..(head + 1) * values],
        }
    }
}
