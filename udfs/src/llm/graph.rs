//! The slot graph: a decoder-only transformer over rows of cached keys and
//! values, run in place.
//!
//! | input | type | shape |
//! | --- | --- | --- |
//! | `input_ids` | i64 | [B, S], each row padded on the right |
//! | `seqlens_k` | i32 | [B], valid tokens of the row after the step, less 1 |
//! | `total_sequence_length` | i32 | [], the most valid tokens of any row |
//! | `query_seqlens` | i32 | [B], new tokens of the row |
//! | `logits_indices` | i64 | [N], into the flattened B × S |
//! | `past_key_values.{i}.{key,value}` | f32 | [B, heads, capacity, width] |
//! | **output** `logits` | f32 | [N, V] |
//! | **output** `present.{i}.{key,value}` | f32 | the past's memory, appended to |
//!
//! One graph prefills, appends, decodes and scores.

use std::ffi::{CString, NulError};

use ort::session::Session;
use ort::session::builder::GraphOptimizationLevel;
use ort::value::{TensorElementType, TensorRef, TensorRefMut};
use ort::{AsPointer, ortsys};

use super::backend::ModelError;
use super::engine::cache::Cache;
use super::folder::{CacheShape, Folder};
use super::load::LoadError;
use super::runtime::Runtime;

/// What one cache row is to be given.
#[derive(Debug, Clone, Copy)]
pub struct Feed<'a> {
    /// Valid tokens in the row before.
    pub past: usize,
    /// The tokens to append, at least one.
    pub tokens: &'a [u32],
}

/// For which of the appended tokens the next-token logits are wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wanted {
    /// The last of each row.
    Last,
    /// All of the only row.
    All,
}

/// A loaded graph.
#[derive(Debug)]
pub struct Graph {
    session: Session,
    vocabulary: usize,
    inputs: Vec<CString>,
    outputs: Vec<CString>,
    /// The last step's logits, [N, V].
    logits: Vec<f32>,
}

impl Graph {
    /// Loads the folder's graph for the CPU, with `threads` threads.
    ///
    /// # Errors
    /// When ONNX Runtime refuses the graph, or it does not keep the contract.
    pub fn load(runtime: &Runtime, folder: &Folder, threads: usize) -> Result<Self, LoadError> {
        let session = session(runtime, folder, threads)
            .map_err(|error| LoadError::Graph(error.to_string()))?;
        check_cache_type(&session)?;
        let (inputs, outputs) =
            names(&folder.cache).map_err(|error| LoadError::Graph(error.to_string()))?;
        Ok(Self {
            session,
            vocabulary: folder.vocabulary,
            inputs,
            outputs,
            logits: Vec::new(),
        })
    }

    /// How the exporter says the weights are stored, `fp32` where it says nothing.
    pub fn precision(&self) -> String {
        let metadata = self.session.metadata().ok();
        let precision = metadata.and_then(|metadata| metadata.custom("precision"));
        precision.unwrap_or_else(|| "fp32".to_owned())
    }

    /// Appends to the first rows of `cache`, one feed a row, and returns the
    /// wanted logits, one slice of the vocabulary's length each, in order.
    ///
    /// A row's result does not depend on what the other rows are, not by a bit:
    /// the kernels accumulate each row alone. It does, in the last bits, on how
    /// its own tokens are spread over runs.
    ///
    /// # Errors
    /// When ONNX Runtime fails; the fed rows are then not valid.
    pub fn run(
        &mut self,
        cache: &mut Cache,
        feeds: &[Feed<'_>],
        wanted: Wanted,
    ) -> Result<std::slice::ChunksExact<'_, f32>, ModelError> {
        let step = Step::new(feeds, wanted);
        self.logits
            .resize(step.logits_indices.len() * self.vocabulary, 0.0);
        self.run_step(cache, &step)
            .map_err(|error| ModelError::Fatal(format!("the model graph failed: {error}")))?;
        Ok(self.logits.chunks_exact(self.vocabulary))
    }

    /// Binds past and present to the same memory, which the safe interface does
    /// not offer: it copies every borrowed input.
    fn run_step(&mut self, cache: &mut Cache, step: &Step) -> ort::Result<()> {
        let rows = step.rows();
        let ids = TensorRef::from_array_view(([rows, step.width], step.input_ids.as_slice()))?;
        let ends = TensorRef::from_array_view(([rows], step.seqlens_k.as_slice()))?;
        let total = TensorRef::from_array_view((Vec::<i64>::new(), &step.total[..]))?;
        let lengths = TensorRef::from_array_view(([rows], step.query_seqlens.as_slice()))?;
        let wanted = step.logits_indices.len();
        let indices = TensorRef::from_array_view(([wanted], step.logits_indices.as_slice()))?;
        let shape = [wanted, self.vocabulary];
        let logits = TensorRefMut::from_array_view_mut((shape, self.logits.as_mut_slice()))?;
        let shape = cache.window_shape(rows);
        let windows = cache.windows(rows);
        let windows = windows
            .map(|window| TensorRefMut::<f32>::from_array_view_mut((shape, window)))
            .collect::<ort::Result<Vec<_>>>()?;

        let mut inputs = vec![
            ids.ptr(),
            ends.ptr(),
            total.ptr(),
            lengths.ptr(),
            indices.ptr(),
        ];
        inputs.extend(windows.iter().map(|window| window.ptr()));
        let mut outputs = vec![logits.ptr().cast_mut()];
        outputs.extend(windows.iter().map(|window| window.ptr().cast_mut()));
        let input_names: Vec<_> = self.inputs.iter().map(|name| name.as_ptr()).collect();
        let output_names: Vec<_> = self.outputs.iter().map(|name| name.as_ptr()).collect();
        // SAFETY: names and values are as many as their counts say and outlive the
        // call; every value is a tensor over memory that this function borrows
        // mutably. `GroupQueryAttention` is made for a past and a present that are
        // the same memory, and no other node of the contract sees either. The
        // session is borrowed mutably, so no other run is under way.
        ortsys![unsafe Run(
            self.session.ptr().cast_mut(),
            std::ptr::null(),
            input_names.as_ptr(),
            inputs.as_ptr(),
            inputs.len(),
            output_names.as_ptr(),
            output_names.len(),
            outputs.as_mut_ptr()
        )?];
        Ok(())
    }
}

fn session(runtime: &Runtime, folder: &Folder, threads: usize) -> ort::Result<Session> {
    Session::builder(&runtime.environment)?
        .with_optimization_level(GraphOptimizationLevel::Level3)?
        .with_intra_threads(threads)?
        // Between steps the threads are the query's.
        .with_intra_op_spinning(false)?
        // A pattern is kept for every shape seen, and ours never repeat.
        .with_memory_pattern(false)?
        .commit_from_file(&folder.graph)
}

fn check_cache_type(session: &Session) -> Result<(), LoadError> {
    let mut inputs = session.inputs().iter();
    match inputs.find(|input| input.name() == "past_key_values.0.key") {
        Some(past) if past.dtype().tensor_type() == Some(TensorElementType::Float32) => Ok(()),
        Some(_) => Err(LoadError::Graph(
            "its keys and values are no fp32 numbers, as in a folder of precision fp16, which is \
             for CUDA; the CPU runs --precision fp32, int8 or int4"
                .to_owned(),
        )),
        None => Err(LoadError::Graph(
            "it has no input `past_key_values.0.key`".to_owned(),
        )),
    }
}

/// The graph's input and output names, in the order [`Graph::run_step`] binds.
fn names(cache: &CacheShape) -> Result<(Vec<CString>, Vec<CString>), NulError> {
    let cached = |side: &str| -> Vec<String> {
        let layers = 0..cache.layers;
        layers
            .flat_map(|i| [format!("{side}.{i}.key"), format!("{side}.{i}.value")])
            .collect()
    };
    let inputs = [
        "input_ids",
        "seqlens_k",
        "total_sequence_length",
        "query_seqlens",
        "logits_indices",
    ];
    let inputs = inputs.map(String::from).into_iter();
    let outputs = std::iter::once("logits".to_owned());
    Ok((
        inputs
            .chain(cached("past_key_values"))
            .map(CString::new)
            .collect::<Result<_, _>>()?,
        outputs
            .chain(cached("present"))
            .map(CString::new)
            .collect::<Result<_, _>>()?,
    ))
}

/// The small inputs of one run.
struct Step {
    width: usize,
    input_ids: Vec<i64>,
    seqlens_k: Vec<i32>,
    total: [i32; 1],
    query_seqlens: Vec<i32>,
    logits_indices: Vec<i64>,
}

impl Step {
    fn new(feeds: &[Feed<'_>], wanted: Wanted) -> Self {
        let width = feeds
            .iter()
            .map(|feed| feed.tokens.len())
            .max()
            .unwrap_or(0);
        let mut step = Self {
            width,
            input_ids: vec![0; feeds.len() * width],
            seqlens_k: Vec::with_capacity(feeds.len()),
            total: [0],
            query_seqlens: Vec::with_capacity(feeds.len()),
            logits_indices: Vec::with_capacity(feeds.len()),
        };
        for (row, feed) in feeds.iter().enumerate() {
            step.add(row, feed, wanted);
        }
        step
    }

    fn add(&mut self, row: usize, feed: &Feed<'_>, wanted: Wanted) {
        let start = row * self.width;
        let count = feed.tokens.len();
        let ids = self.input_ids[start..].iter_mut();
        for (slot, &token) in ids.zip(feed.tokens) {
            *slot = i64::from(token);
        }
        // Lengths are bounded by the context, which fits an i32 by far.
        let valid = (feed.past + count) as i32;
        self.seqlens_k.push(valid - 1);
        self.query_seqlens.push(count as i32);
        self.total[0] = self.total[0].max(valid);
        let first = match wanted {
            Wanted::Last => start + count - 1,
            Wanted::All => start,
        };
        let indices = (first..start + count).map(|index| index as i64);
        self.logits_indices.extend(indices);
    }

    fn rows(&self) -> usize {
        self.query_seqlens.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ragged_feeds_are_padded_on_the_right() {
        let feeds = [
            Feed {
                past: 4,
                tokens: &[7, 8, 9],
            },
            Feed {
                past: 0,
                tokens: &[5],
            },
        ];
        let step = Step::new(&feeds, Wanted::Last);
        assert_eq!(step.input_ids, [7, 8, 9, 5, 0, 0]);
        assert_eq!(step.seqlens_k, [6, 0]);
        assert_eq!(step.total, [7]);
        assert_eq!(step.query_seqlens, [3, 1]);
        assert_eq!(step.logits_indices, [2, 3]);
        let step = Step::new(&feeds[..1], Wanted::All);
        assert_eq!(step.logits_indices, [0, 1, 2]);
    }
}
