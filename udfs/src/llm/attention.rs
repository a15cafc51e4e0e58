//! The attention of a layer, on the processor.
//!
//! A graph has a function of its own for it, `usermirror.SharedAttention`, of standard operators,
//! which any runtime expands. Where the processor has the vectors for it, this operator takes the
//! function's place: it lays out no keys anew, and keeps no table of scores.
//!
//! | input | shape |
//! | --- | --- |
//! | queries | [Z, H × G, S, D], rotated |
//! | new keys, new values | [Z, H, S, D] |
//! | past keys, past values | [Z, H, T, D], what was written |
//! | prefix keys | [R, H, P, D + 2], in the end two marks |
//! | prefix values | [R, H, P, D] |
//! | bias | [Z, 1, S, T + S] |
//! | **output** | [Z, S, H × G × D] |
//!
//! All are f32. R prompts have F places each, Z in all; S tokens are new to each text, T and P is
//! what there is room for. Each of H heads of keys and values, D wide, has G heads of queries. The
//! tokens that are there stand before those that are not. What a token gets depends on nothing but
//! what it sees, by not one bit, and is the same for any number of threads.

mod kernel;
mod lanes;
mod layer;
mod product;
mod rows;
#[cfg(test)]
mod tests;

use ort::operator::{
    BoxedKernel, ComputeContext, KernelContext, Operator, OperatorDomain, OperatorInput,
    OperatorOutput,
};
use ort::value::TensorElementType;

use kernel::Kernel;
use layer::{Layer, Output};

const DOMAIN: &str = "usermirror";
const INPUTS: usize = 8;

/// The operator, if it can be computed here.
///
/// # Errors
/// When ONNX Runtime refuses it.
pub fn operators() -> ort::Result<Option<OperatorDomain>> {
    let operator = |kernel| OperatorDomain::new(DOMAIN)?.add(SharedAttention { kernel });
    Kernel::of_processor().map(operator).transpose()
}

struct SharedAttention {
    kernel: &'static Kernel,
}

impl Operator for SharedAttention {
    type Kernel<'attr> = BoxedKernel<'attr>;

    fn name(&self) -> &str {
        "SharedAttention"
    }

    fn inputs(&self) -> impl IntoIterator<Item = OperatorInput> {
        [const { OperatorInput::required(TensorElementType::Float32) }; INPUTS]
    }

    fn outputs(&self) -> impl IntoIterator<Item = OperatorOutput> {
        [OperatorOutput::required(TensorElementType::Float32)]
    }

    fn create_kernel<'attr>(&self, node: &KernelContext<'attr>) -> ort::Result<BoxedKernel<'attr>> {
        let kernel = self.kernel;
        let scale = node.get::<f32>("scale");
        let scale = scale.ok_or_else(|| ort::Error::new("attention without a scale"))?;
        Ok(Box::new(move |context: &ComputeContext| {
            compute(kernel, scale, context)
        }))
    }
}

/// Computes one layer.
fn compute(kernel: &'static Kernel, scale: f32, context: &ComputeContext) -> ort::Result<()> {
    let missing = || ort::Error::new("attention without an input or its output");
    let inputs = (0..INPUTS).map(|index| context.input(index)?.ok_or_else(missing));
    let inputs = inputs.collect::<ort::Result<Vec<_>>>()?;
    let tensors = inputs.iter().map(|input| input.try_extract_tensor());
    let tensors = tensors.collect::<ort::Result<Vec<_>>>()?;
    let layer = Layer::new(kernel, scale, &tensors);
    let layer = layer.ok_or_else(|| ort::Error::new("attention over tensors that do not fit"))?;
    let mut output = context
        .output(0, layer.output_shape())?
        .ok_or_else(missing)?;
    let (_, output) = output.try_extract_tensor_mut()?;
    let output = Output(output.as_mut_ptr());
    context.par_for(layer.units(), 0, |unit| layer.compute(unit, &output))
}
