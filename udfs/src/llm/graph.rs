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
//! | `prefix.{i}.key` | f | [R, heads, P, width + 2], in the end two marks |
//! | `prefix.{i}.value` | f | [R, heads, P, width] |
//! | `past_key_values.{i}.{key,value}` | f | [Z, heads, T, width], what was written |
//! | **output** `logits` | f32 | [N, V] |
//! | **output** `present.{i}.{key,value}` | f | [Z, heads, S, width], the new tokens' |
//!
//! f is f16 in a graph of precision fp16, and f32 in every other.
//!
//! Reading, there is one prompt and one text, and nothing was written. Writing, S is 1 and each
//! draw is a text. What a text gets does not depend on P, T or what else is in work, not by a
//! bit; it does, in the last bits, on how its tokens are spread over steps.

mod step;

use std::ffi::{CString, NulError};
use std::fmt::Display;
use std::slice::ChunksExact;
#[cfg(test)]
use std::sync::Arc;

use ort::operator::OperatorDomain;
use ort::session::Session;
use ort::session::builder::{GraphOptimizationLevel, SessionBuilder};
use ort::value::{TensorElementType, TensorRefMut};
use ort::{AsPointer, ortsys};

use super::backend::ModelError;
use super::device::Device;
use super::engine::cache::{Cache, Part};
use super::engine::prompts::Prompts;
use super::engine::rounded_up;
use super::engine::shared::{Extent, SharedCache};
use super::folder::{CacheShape, Folder};
use super::load::LoadError;
use super::runtime::Runtime;
#[cfg(test)]
use super::store::Memory;
use super::store::{Buffer, Number, Store, lacking};
use step::Step;

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
    store: Store,
    vocabulary: usize,
    inputs: Vec<CString>,
    outputs: Vec<CString>,
    /// A token of nothing, [1, heads, 1, width].
    nothing: Buffer,
    /// The last step's logits, [N, V].
    logits: Vec<f32>,
    /// Whether a draw that is alone comes out as it does among others, to the bit.
    alone: bool,
}

impl Graph {
    /// Loads the folder's graph for `device`, with `threads` threads for what the processor does.
    ///
    /// # Errors
    /// When ONNX Runtime refuses the graph, or it does not keep the contract.
    pub fn load(
        runtime: &Runtime,
        folder: &Folder,
        device: &Device,
        threads: usize,
    ) -> Result<Self, LoadError> {
        let broken = |error: &dyn Display| LoadError::Graph(error.to_string());
        let session = session(runtime, folder, device, threads)?;
        let (inputs, outputs) = names(&folder.cache).map_err(|e| broken(&e))?;
        let store = Store {
            shape: folder.cache,
            number: check_interface(&session, &inputs)?,
            memory: device.memory(),
        };
        let nothing = Buffer::zeros(&store, store.shape.heads * store.shape.width);
        let mut graph = Self {
            session,
            nothing: nothing.map_err(|e| broken(&e))?,
            store,
            vocabulary: folder.vocabulary,
            inputs,
            outputs,
            logits: Vec::new(),
            alone: true,
        };
        graph.alone = graph.computes_alone().map_err(|e| broken(&e))?;
        Ok(graph)
    }

    /// Whether a single row of numbers is computed as it is among others. The runtime has other
    /// kernels for it, which may round differently; for which weights depends on the processor, so
    /// it is tried out.
    fn computes_alone(&mut self) -> Result<bool, ModelError> {
        let extent = Extent {
            prompts: 1,
            places: 2,
            read: rounded_up(2),
            written: 1,
        };
        let mut cache = SharedCache::new(&self.store, extent)?;
        cache.add_prompt([&Cache::new(&self.store, 1, 1)?]);
        // Tokens of the middle: the first and the last are often special, of weights 0.
        let middle = self.vocabulary as u32 / 2;
        let draws = [0, 1].map(|place| Draw {
            place,
            written: 0,
            token: middle + place as u32,
        });
        let among_others = self.write(&mut cache, &draws)?.next().map(<[f32]>::to_vec);
        let alone = self.write(&mut cache, &draws[..1])?.next();
        Ok(alone == among_others.as_deref())
    }

    /// The same graph with its keys and values elsewhere.
    #[cfg(test)]
    pub fn keeping_in(mut self, memory: Arc<dyn Memory>) -> Self {
        self.store.memory = memory;
        self.nothing = Buffer::zeros(&self.store, self.nothing.count()).unwrap();
        self
    }

    /// What its keys and values are, and where.
    pub fn store(&self) -> &Store {
        &self.store
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
        let step = Step::write(cache, draws, self.alone);
        let parts = cache.parts();
        self.run(&step, &parts.prompts, Some(&parts.draws), parts.newest)?;
        cache.keep(draws);
        Ok(self.logits.chunks_exact(self.vocabulary))
    }

    /// Runs a step, with a token of nothing where no past is given.
    fn run(
        &mut self,
        step: &Step,
        prompts: &[Part<&Buffer>],
        past: Option<&[Part<&Buffer>]>,
        new: Vec<Part<&mut Buffer>>,
    ) -> Result<(), ModelError> {
        let count = step.wanted() * self.vocabulary;
        let more = count.saturating_sub(self.logits.len());
        self.logits.try_reserve(more).map_err(|_| lacking(more))?;
        self.logits.resize(count, 0.0);
        self.store.memory.settle()?;
        self.run_step(step, prompts, past, new)
            .map_err(|error| failure(&error.to_string()))
    }

    /// Binds the outputs to memory that is there, and the inputs without a copy, which the safe
    /// interface does not offer.
    fn run_step(
        &mut self,
        step: &Step,
        prompts: &[Part<&Buffer>],
        past: Option<&[Part<&Buffer>]>,
        new: Vec<Part<&mut Buffer>>,
    ) -> ort::Result<()> {
        let CacheShape { heads, width, .. } = self.store.shape;
        let nothing = vec![([1, heads, 1, width], &self.nothing); prompts.len()];
        let cached = prompts.iter().chain(past.unwrap_or(&nothing));
        // SAFETY: they become inputs.
        let cached = cached.map(|&(shape, buffer)| unsafe { buffer.shared_tensor(shape) });
        let cached = cached.collect::<ort::Result<Vec<_>>>()?;
        let new = new.into_iter();
        let new = new.map(|(shape, buffer)| buffer.tensor(shape));
        let new = new.collect::<ort::Result<Vec<_>>>()?;
        let small = step.tensors()?;
        let shape = [step.wanted(), self.vocabulary];
        let logits = TensorRefMut::from_array_view_mut((shape, self.logits.as_mut_slice()))?;

        let mut inputs: Vec<_> = small.iter().map(|value| value.ptr()).collect();
        inputs.extend(cached.iter().map(|value| value.ptr()));
        let mut outputs = vec![logits.ptr().cast_mut()];
        outputs.extend(new.iter().map(|value| value.ptr().cast_mut()));
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

/// Whether an error is for a lack of memory, for which ONNX Runtime has no code of its own.
fn is_lack_of_memory(error: &str) -> bool {
    const SIGNS: [&str; 3] = ["bad_alloc", "Failed to allocate memory", "out of memory"];
    SIGNS.iter().any(|sign| error.contains(sign))
}

/// What a failed run means.
fn failure(error: &str) -> ModelError {
    match is_lack_of_memory(error) {
        true => ModelError::Memory(format!(
            "there is no memory even for one decision at a time ({error}): free some, or open \
             the model with less 'cache_mib', 'prompt_cache_mib' or 'max_context'"
        )),
        false => ModelError::Fatal(format!("the model graph failed: {error}")),
    }
}

fn session(
    runtime: &Runtime,
    folder: &Folder,
    device: &Device,
    threads: usize,
) -> Result<Session, LoadError> {
    let broken = |error: &dyn Display| LoadError::Graph(error.to_string());
    let builder = configured(runtime, threads).map_err(|e| broken(&e))?;
    let builder = builder.with_execution_providers(device.providers());
    let mut builder = builder.map_err(|error| device.refused(&error.to_string()))?;
    if let (Device::Cpu, Some(operators)) = (device, operators().map_err(|e| broken(&e))?) {
        builder = builder.with_operators(operators).map_err(|e| broken(&e))?;
    }
    let session = builder.commit_from_file(&folder.graph);
    session.map_err(|error| unloadable(device, &error.to_string()))
}

fn configured(runtime: &Runtime, threads: usize) -> ort::Result<SessionBuilder> {
    Ok(Session::builder(&runtime.environment)?
        .with_optimization_level(GraphOptimizationLevel::Level3)?
        .with_intra_threads(threads)?
        // Between steps the threads are the query's.
        .with_intra_op_spinning(false)?
        // A pattern is kept for every shape seen, and ours never repeat.
        .with_memory_pattern(false)?)
}

/// What the engine computes in the runtime's place.
fn operators() -> ort::Result<Option<OperatorDomain>> {
    #[cfg(target_arch = "x86_64")]
    return super::attention::operators();
    #[cfg(not(target_arch = "x86_64"))]
    Ok(None)
}

/// What it means that a graph was not loaded.
fn unloadable(device: &Device, error: &str) -> LoadError {
    match is_lack_of_memory(error) {
        true => LoadError::Weights(format!(
            "the model's weights do not fit the memory that {device} has left ({error}): free \
             some, export the model with less --precision, or take another device"
        )),
        false => LoadError::Graph(error.to_owned()),
    }
}

/// Checks that the engine knows every input, and gives the type of keys and values.
fn check_interface(session: &Session, known: &[CString]) -> Result<Number, LoadError> {
    let unknown = session.inputs().iter().find(|input| {
        let mut names = known.iter();
        names.all(|name| name.as_bytes() != input.name().as_bytes())
    });
    if let Some(input) = unknown {
        let name = input.name();
        let unknown = format!("it has an input `{name}`, which the engine does not know");
        return Err(LoadError::Graph(unknown));
    }
    let kind = |name: &str| -> Result<_, LoadError> {
        let mut inputs = session.inputs().iter();
        let found = inputs.find(|input| input.name() == name);
        let missing = || LoadError::Graph(format!("it has no input `{name}`"));
        Ok(found.ok_or_else(missing)?.dtype().tensor_type())
    };
    kind("texts")?;
    if kind("bias")? != Some(TensorElementType::Float32) {
        return Err(LoadError::Graph(
            "its input `bias` is not of 32 bits".to_owned(),
        ));
    }
    match kind("prefix.0.value")? {
        Some(TensorElementType::Float32) => Ok(Number::F32),
        Some(TensorElementType::Float16) => Ok(Number::F16),
        other => Err(LoadError::Graph(format!(
            "its keys and values are numbers of type {other:?}, not fp32 or fp16"
        ))),
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
    use crate::llm::demo;
    use crate::llm::store::cuda::tests::functions;

    #[test]
    fn a_lack_of_memory_is_told_from_other_failures() {
        for error in [
            "Non-zero status code returned while running MatMul node. std::bad_alloc",
            "Failed to allocate memory for requested buffer of size 4194304",
            "CUDA failure 2: out of memory",
        ] {
            assert!(matches!(failure(error), ModelError::Memory(_)), "{error}");
            let loading = unloadable(&Device::Cpu, error).to_string();
            assert!(
                loading.contains("do not fit the memory that cpu"),
                "{loading}"
            );
        }
        let other = failure("Invalid input name: texts");
        assert!(matches!(other, ModelError::Fatal(_)), "{other}");
    }

    #[test]
    fn a_gpu_that_this_runtime_cannot_use_is_told() {
        let runtime = Runtime::load(None).unwrap();
        let folder = Folder::read(&demo::folder("weak")).unwrap();
        let gpu = Device::Gpu(99, functions());
        let error = Graph::load(&runtime, &folder, &gpu, 1)
            .unwrap_err()
            .to_string();
        assert!(error.contains("'cuda:99' cannot be had"), "{error}");
        assert!(error.contains("--device cpu"), "{error}");
    }
}
