//! The slot graph: a decoder-only transformer whose texts share the prompts that they follow.
//!
//! A step adds S tokens to each of B texts, which stand in the Z = R × F places of R prompts. The
//! prompts' keys and values are read once for all texts of a prompt, as one matrix product
//! (Hydragen, arXiv:2402.05099):
//!
//! | input | type | shape |
//! | --- | --- | --- |
//! | `input_ids` | i64 | [B, S] |
//! | `logits_indices` | i64 | [N], into the flattened B × S |
//! | `texts` | i64 | [Z], the text at each place |
//! | `places` | i64 | [B], the place of each text |
//! | `position_ids` | i64 | [Z, S] |
//! | `bias` | f32 | [Z, 1, S, T + S], 0 for a token, far below for none |
//! | `prefix.{i}.key` | f32 | [R, heads, P, width + 2], in the end two marks |
//! | `prefix.{i}.value` | f32 | [R, heads, P, width] |
//! | `past_key_values.{i}.{key,value}` | f32 | [Z, heads, T, width], what was written |
//! | **output** `logits` | f32 | [N, V] |
//! | **output** `present.{i}.{key,value}` | f32 | [Z, heads, S, width], the new tokens' |
//!
//! Reading, there is one prompt and one text, and nothing was written. Writing, S is 1 and each
//! draw is a text. What a text gets does not depend on P, T or what else is in work, not by a
//! bit; it does, in the last bits, on how its tokens are spread over steps.

mod step;

use std::ffi::{CString, NulError};
use std::slice::ChunksExact;

use ort::session::Session;
use ort::session::builder::GraphOptimizationLevel;
use ort::value::{TensorElementType, TensorRefMut};
use ort::{AsPointer, ortsys};

use super::backend::ModelError;
use super::engine::cache::{Cache, Part};
use super::engine::memory::lacking;
use super::engine::prompts::Prompts;
use super::engine::shared::SharedCache;
use super::folder::{CacheShape, Folder};
use super::load::LoadError;
use super::runtime::Runtime;
use step::{Step, tensor};

/// For which of the read tokens the next-token logits are wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wanted {
    /// None: the tokens are read for what is to follow.
    Nothing,
    /// The last.
    Last,
    /// All.
    All,
}

/// A draw that is to be given its next token.
#[derive(Debug, Clone, Copy)]
pub struct Draw {
    /// Its place among those of all prompts.
    pub place: usize,
    /// Tokens that it has written, but for `token`: those in the cache.
    pub written: usize,
    /// The last token that it wrote, which the model is to read.
    pub token: u32,
}

/// A loaded graph.
#[derive(Debug)]
pub struct Graph {
    session: Session,
    shape: CacheShape,
    vocabulary: usize,
    inputs: Vec<CString>,
    outputs: Vec<CString>,
    /// A token of nothing, [1, heads, 1, width].
    nothing: Vec<f32>,
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
        let (inputs, outputs) =
            names(&folder.cache).map_err(|error| LoadError::Graph(error.to_string()))?;
        check_interface(&session, &inputs)?;
        Ok(Self {
            session,
            shape: folder.cache,
            vocabulary: folder.vocabulary,
            inputs,
            outputs,
            nothing: vec![0.0; folder.cache.heads * folder.cache.width],
            logits: Vec::new(),
        })
    }

    /// How the exporter says the weights are stored, `fp32` where it says nothing.
    pub fn precision(&self) -> String {
        let metadata = self.session.metadata().ok();
        let precision = metadata.and_then(|metadata| metadata.custom("precision"));
        precision.unwrap_or_else(|| "fp32".to_owned())
    }

    /// Reads `tokens` after the only prompt of `before`, fills the only row of `new` with their
    /// keys and values, and returns the wanted logits, one slice of the vocabulary's length each.
    ///
    /// # Errors
    /// When ONNX Runtime fails; `new` is then not valid.
    pub fn read(
        &mut self,
        before: &Prompts,
        tokens: &[u32],
        wanted: Wanted,
        new: &mut Cache,
    ) -> Result<ChunksExact<'_, f32>, ModelError> {
        let past = before.lengths().first().copied().unwrap_or_default();
        let step = Step::read(past, tokens, wanted);
        self.run(
            &step,
            &before.parts().collect::<Vec<_>>(),
            None,
            new.parts_mut(1).collect(),
        )?;
        Ok(self.logits.chunks_exact(self.vocabulary))
    }

    /// Gives one token to each of `draws`, keeps its keys and values, and returns the logits
    /// of the next, one slice of the vocabulary's length each, in order; there may be one
    /// slice more.
    ///
    /// # Errors
    /// When ONNX Runtime fails; the draws are then not valid.
    pub fn write(
        &mut self,
        cache: &mut SharedCache,
        draws: &[Draw],
    ) -> Result<ChunksExact<'_, f32>, ModelError> {
        let step = Step::write(cache, draws);
        let parts = cache.parts();
        self.run(&step, &parts.prompts, Some(&parts.draws), parts.newest)?;
        for draw in draws {
            cache.keep(draw.place, draw.written);
        }
        Ok(self.logits.chunks_exact(self.vocabulary))
    }

    /// Runs a step, with a token of nothing where no past is given.
    fn run(
        &mut self,
        step: &Step,
        prompts: &[Part<&[f32]>],
        past: Option<&[Part<&[f32]>]>,
        new: Vec<Part<&mut [f32]>>,
    ) -> Result<(), ModelError> {
        let count = step.wanted() * self.vocabulary;
        let more = count.saturating_sub(self.logits.len());
        self.logits.try_reserve(more).map_err(|_| lacking(more))?;
        self.logits.resize(count, 0.0);
        self.run_step(step, prompts, past, new)
            .map_err(|error| failure(&error.to_string()))
    }

    /// Binds the outputs to memory that is there, and the inputs without a copy, which the safe
    /// interface does not offer.
    fn run_step(
        &mut self,
        step: &Step,
        prompts: &[Part<&[f32]>],
        past: Option<&[Part<&[f32]>]>,
        new: Vec<Part<&mut [f32]>>,
    ) -> ort::Result<()> {
        let CacheShape { heads, width, .. } = self.shape;
        let nothing: Part<&[f32]> = ([1, heads, 1, width], &self.nothing);
        let nothing = vec![nothing; prompts.len()];
        let mut inputs = Vec::from(step.tensors()?);
        for (shape, data) in prompts.iter().chain(past.unwrap_or(&nothing)) {
            inputs.push(tensor(shape, data)?);
        }
        let shape = [step.wanted(), self.vocabulary];
        let logits = TensorRefMut::from_array_view_mut((shape, self.logits.as_mut_slice()))?;
        let mut outputs = vec![logits];
        for (shape, data) in new {
            outputs.push(TensorRefMut::from_array_view_mut((shape, data))?);
        }

        let inputs: Vec<_> = inputs.iter().map(|value| value.ptr()).collect();
        let outputs = outputs.iter().map(|value| value.ptr().cast_mut());
        let mut outputs: Vec<_> = outputs.collect();
        let input_names: Vec<_> = self.inputs.iter().map(|name| name.as_ptr()).collect();
        let output_names: Vec<_> = self.outputs.iter().map(|name| name.as_ptr()).collect();
        // SAFETY: names and values are as many as their counts say and outlive the
        // call; every value is a tensor over memory that is borrowed here, mutably where
        // it is written. The session is borrowed mutably, so no other run is under way.
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

/// What a failed run means. ONNX Runtime has no code of its own for a lack of memory.
fn failure(error: &str) -> ModelError {
    const MEMORY: [&str; 3] = ["bad_alloc", "Failed to allocate memory", "out of memory"];
    match MEMORY.iter().any(|sign| error.contains(sign)) {
        true => ModelError::Memory(format!(
            "there is no memory even for one decision at a time ({error}): free some, or open \
             the model with less 'cache_mib', 'prompt_cache_mib' or 'max_context'"
        )),
        false => ModelError::Fatal(format!("the model graph failed: {error}")),
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

fn check_interface(session: &Session, known: &[CString]) -> Result<(), LoadError> {
    let unknown = session.inputs().iter().find(|input| {
        let mut names = known.iter();
        names.all(|name| name.as_bytes() != input.name().as_bytes())
    });
    if let Some(input) = unknown {
        let name = input.name();
        let unknown = format!("it has an input `{name}`, which the engine does not know");
        return Err(LoadError::Graph(unknown));
    }
    let mut inputs = session.inputs().iter();
    if !inputs.any(|input| input.name() == "texts") {
        return Err(LoadError::Graph("it has no input `texts`".to_owned()));
    }
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
    let inputs = step::NAMES.map(String::from).into_iter();
    let outputs = std::iter::once("logits".to_owned());
    Ok((
        inputs
            .chain(cached("prefix"))
            .chain(cached("past_key_values"))
            .map(CString::new)
            .collect::<Result<_, _>>()?,
        outputs
            .chain(cached("present"))
            .map(CString::new)
            .collect::<Result<_, _>>()?,
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lack_of_memory_is_told_from_other_failures() {
        for error in [
            "Non-zero status code returned while running MatMul node. std::bad_alloc",
            "Failed to allocate memory for requested buffer of size 4194304",
            "CUDA failure 2: out of memory",
        ] {
            assert!(matches!(failure(error), ModelError::Memory(_)), "{error}");
        }
        let other = failure("Invalid input name: texts");
        assert!(matches!(other, ModelError::Fatal(_)), "{other}");
    }
}
