//! An encoder's graph.
//!
//! | input | type | shape |
//! | --- | --- | --- |
//! | `input_ids` | i64 | [B, S], each row padded on the right |
//! | `attention_mask` | i64 | [B, S], 1 for the row's own tokens |
//! | `token_type_ids` | i64 | [B, S], 0; where the graph has it |
//! | **output** `last_hidden_state` | f32 | [B, S, H] |
//!
//! The output may also be called `token_embeddings`, or else is the first one.

use ort::session::Session;
use ort::session::builder::GraphOptimizationLevel;
use ort::value::{Tensor, TensorElementType};

use super::folder::{Folder, Pooling};
use crate::llm::backend::ModelError;
use crate::llm::load::LoadError;
use crate::llm::runtime::Runtime;

const INPUTS: [&str; 3] = ["input_ids", "attention_mask", "token_type_ids"];
const OUTPUTS: [&str; 2] = ["last_hidden_state", "token_embeddings"];

/// A loaded graph.
#[derive(Debug)]
pub struct Graph {
    session: Session,
    has_types: bool,
    output: String,
    pooling: Pooling,
    dimensions: usize,
}

impl Graph {
    /// Loads the folder's graph for the CPU, with `threads` threads, and tries it.
    ///
    /// # Errors
    /// When ONNX Runtime refuses the graph, or it does not keep the contract.
    pub fn load(runtime: &Runtime, folder: &Folder, threads: usize) -> Result<Self, LoadError> {
        let wrong = |reason: String| {
            LoadError::Encoder(format!(
                "`{}` cannot be run as an encoder: {reason}",
                folder.graph.display()
            ))
        };
        let session =
            session(runtime, folder, threads).map_err(|error| wrong(error.to_string()))?;
        check_inputs(&session).map_err(wrong)?;
        let output = output(&session).map_err(wrong)?;
        let mut graph = Self {
            has_types: session
                .inputs()
                .iter()
                .any(|input| input.name() == INPUTS[2]),
            session,
            output,
            pooling: folder.pooling,
            dimensions: 0,
        };
        // A graph need not declare how long its vectors are.
        let tried = graph
            .run_batch(&[&[0]], 1)
            .map_err(|error| wrong(error.to_string()))?;
        graph.dimensions = tried.first().map_or(0, Vec::len);
        Ok(graph)
    }

    /// How many numbers a vector has.
    pub fn dimensions(&self) -> usize {
        self.dimensions
    }

    /// The vectors of `texts`, each at least one token and at most `length`, to which all are
    /// padded.
    ///
    /// # Errors
    /// When ONNX Runtime fails.
    pub fn run(&mut self, texts: &[&[u32]], length: usize) -> Result<Vec<Vec<f32>>, ModelError> {
        self.run_batch(texts, length)
            .map_err(|error| ModelError::Fatal(format!("the encoder's graph failed: {error}")))
    }

    fn run_batch(&mut self, texts: &[&[u32]], length: usize) -> ort::Result<Vec<Vec<f32>>> {
        let shape = [texts.len(), length];
        let mut ids = vec![0; texts.len() * length];
        let mut mask = vec![0; texts.len() * length];
        for (row, text) in texts.iter().enumerate() {
            for (place, token) in (row * length..).zip(text.iter()) {
                ids[place] = i64::from(*token);
                mask[place] = 1;
            }
        }
        let types = vec![0; ids.len()];
        let mut inputs = vec![
            (INPUTS[0], Tensor::<i64>::from_array((shape, ids))?),
            (INPUTS[1], Tensor::from_array((shape, mask))?),
        ];
        if self.has_types {
            inputs.push((INPUTS[2], Tensor::from_array((shape, types))?));
        }
        let outputs = self.session.run(inputs)?;
        let (shape, states) = outputs[self.output.as_str()].try_extract_tensor::<f32>()?;
        let width = match shape[..] {
            [rows, places, width] if rows == texts.len() as i64 && places == length as i64 => {
                width as usize
            }
            _ => {
                return Err(ort::Error::new(format!(
                    "its output {} has the shape {shape:?}, not one state a token",
                    self.output
                )));
            }
        };
        let rows = states.chunks_exact(length * width).zip(texts);
        Ok(rows
            .map(|(states, text)| pooled(states, width, text.len(), self.pooling))
            .collect())
    }
}

fn session(runtime: &Runtime, folder: &Folder, threads: usize) -> ort::Result<Session> {
    Session::builder(&runtime.environment)?
        .with_optimization_level(GraphOptimizationLevel::Level3)?
        .with_intra_threads(threads)?
        // Between batches the threads are the query's.
        .with_intra_op_spinning(false)?
        // A pattern is kept for every shape seen, and ours are many.
        .with_memory_pattern(false)?
        .commit_from_file(&folder.graph)
}

fn check_inputs(session: &Session) -> Result<(), String> {
    for input in session.inputs() {
        let name = input.name();
        if !INPUTS.contains(&name) {
            return Err(format!(
                "it reads `{name}`, and an encoder's graph reads {}; export the model for \
                 feature extraction",
                INPUTS.join(", ")
            ));
        }
        if input.dtype().tensor_type() != Some(TensorElementType::Int64) {
            return Err(format!("its input `{name}` is not of 64-bit integers"));
        }
    }
    let names: Vec<_> = session.inputs().iter().map(|input| input.name()).collect();
    match INPUTS[..2].iter().find(|name| !names.contains(name)) {
        Some(missing) => Err(format!("it has no input `{missing}`")),
        None => Ok(()),
    }
}

fn output(session: &Session) -> Result<String, String> {
    let outputs = session.outputs();
    let named = |name: &&str| outputs.iter().find(|output| output.name() == *name);
    let Some(output) = OUTPUTS.iter().find_map(named).or(outputs.first()) else {
        return Err("it has no output".to_owned());
    };
    if output.dtype().tensor_type() != Some(TensorElementType::Float32) {
        return Err(format!(
            "its output `{}` is not of 32-bit numbers; the CPU runs fp32 and int8 graphs",
            output.name()
        ));
    }
    Ok(output.name().to_owned())
}

/// One text's vector, of length 1, from its padded states: the mean over its `tokens` tokens,
/// or the state of the first. All 0 where the states are.
fn pooled(states: &[f32], width: usize, tokens: usize, pooling: Pooling) -> Vec<f32> {
    let counted = match pooling {
        Pooling::Mean => tokens,
        Pooling::First => 1,
    };
    // The mean's divisor falls out with the length.
    let mut sums = vec![0.0_f64; width];
    for state in states.chunks_exact(width).take(counted) {
        for (sum, number) in sums.iter_mut().zip(state) {
            *sum += f64::from(*number);
        }
    }
    let length = sums.iter().map(|sum| sum * sum).sum::<f64>().sqrt();
    let length = if length == 0.0 { 1.0 } else { length };
    sums.iter().map(|sum| (sum / length) as f32).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn padding_takes_no_part_in_a_vector() {
        let states = [2.0, 0.0, 4.0, 8.0, 100.0, 100.0];
        assert_eq!(pooled(&states, 2, 2, Pooling::Mean), [0.6, 0.8]);
        assert_eq!(pooled(&states, 2, 2, Pooling::First), [1.0, 0.0]);
        assert_eq!(pooled(&[0.0, 0.0], 2, 1, Pooling::Mean), [0.0, 0.0]);
    }
}
