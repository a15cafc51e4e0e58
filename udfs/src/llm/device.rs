//! Where a model runs.

use std::fmt::{Display, Formatter};
use std::str::FromStr;
use std::sync::Arc;

use ort::ep::{ArenaExtendStrategy, CUDA, ExecutionProvider, ExecutionProviderDispatch};

use super::load::LoadError;
use super::store::Memory;
use super::store::cuda::{Cuda, Functions};
use super::store::host::Host;

/// What a user asks for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Devices {
    /// Every GPU that there is or, where there is none, the processor.
    #[default]
    Auto,
    /// The processor.
    Cpu,
    /// Every GPU.
    Gpus,
    /// The GPU of this number.
    Gpu(usize),
}

impl FromStr for Devices {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let gpu = |text: &str| text.strip_prefix("cuda:")?.parse().ok();
        match text {
            "auto" => Ok(Self::Auto),
            "cpu" => Ok(Self::Cpu),
            "cuda" => Ok(Self::Gpus),
            other => gpu(other).map(Self::Gpu).ok_or_else(|| {
                format!(
                    "there is no device '{other}': auto, cpu, cuda for every GPU, or cuda:N for one"
                )
            }),
        }
    }
}

/// One device.
#[derive(Debug, Clone)]
pub enum Device {
    /// The processor.
    Cpu,
    /// The GPU of this number.
    Gpu(usize, Arc<Functions>),
}

impl Display for Device {
    fn fmt(&self, out: &mut Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Cpu => write!(out, "cpu"),
            Self::Gpu(number, _) => write!(out, "cuda:{number}"),
        }
    }
}

impl Device {
    /// The devices that a model is to run on, one replica each. ONNX Runtime is loaded already.
    ///
    /// # Errors
    /// When one was asked for that is not there.
    pub fn choose(devices: Devices) -> Result<Vec<Self>, LoadError> {
        match devices {
            Devices::Cpu => Ok(vec![Self::Cpu]),
            Devices::Auto => Ok(gpus().unwrap_or_else(|reason| {
                tracing::info!(reason, "no GPU: models run on the processor");
                vec![Self::Cpu]
            })),
            Devices::Gpus => gpus().map_err(|reason| missing("cuda", &reason)),
            Devices::Gpu(number) => {
                let name = format!("cuda:{number}");
                let gpus = gpus().map_err(|reason| missing(&name, &reason))?;
                let count = gpus.len();
                let found = gpus.into_iter().nth(number);
                let found = found.ok_or_else(|| {
                    missing(&name, &format!("there are {count} GPUs, from cuda:0 on"))
                })?;
                Ok(vec![found])
            }
        }
    }

    /// Where a model that runs here keeps its keys and values.
    pub fn memory(&self) -> Arc<dyn Memory> {
        match self {
            Self::Cpu => Arc::new(Host),
            Self::Gpu(number, functions) => Arc::new(Cuda::new(Arc::clone(functions), *number)),
        }
    }

    /// That a model cannot run here after all.
    pub fn refused(&self, reason: &str) -> LoadError {
        missing(&self.to_string(), reason)
    }

    /// What ONNX Runtime is to run a graph with, before the processor.
    pub fn providers(&self) -> Vec<ExecutionProviderDispatch> {
        match self {
            Self::Cpu => Vec::new(),
            Self::Gpu(number, _) => {
                let cuda = CUDA::default()
                    .with_device_id(i32::try_from(*number).unwrap_or(i32::MAX))
                    // Keys and values are most of the memory, and not its.
                    .with_arena_extend_strategy(ArenaExtendStrategy::SameAsRequested)
                    // A graph of 32 bits means them.
                    .with_tf32(false);
                vec![cuda.build().error_on_failure()]
            }
        }
    }
}

fn missing(name: &str, reason: &str) -> LoadError {
    LoadError::Device(format!(
        "device '{name}' cannot be had: {reason}; with --device cpu the model runs on the processor"
    ))
}

/// Every GPU, or why there is none.
fn gpus() -> Result<Vec<Device>, String> {
    if !CUDA::is_available().map_err(|error| error.to_string())? {
        return Err(
            "this ONNX Runtime is made for the processor; put its GPU build \
             (training/runtime-cuda-requirements.txt) where ORT_DYLIB_PATH says"
                .to_owned(),
        );
    }
    let functions = Functions::load()
        .map_err(|error| format!("NVIDIA's libcudart is not in the library path ({error})"))?;
    let count = functions.count()?;
    let functions = Arc::new(functions);
    let gpus = 0..count;
    Ok(gpus
        .map(|number| Device::Gpu(number, Arc::clone(&functions)))
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::llm::runtime::Runtime;

    #[test]
    fn devices_are_named() {
        for (text, devices) in [
            ("auto", Devices::Auto),
            ("cpu", Devices::Cpu),
            ("cuda", Devices::Gpus),
            ("cuda:3", Devices::Gpu(3)),
        ] {
            assert_eq!(text.parse(), Ok(devices));
        }
        for text in ["gpu", "cuda:", "cuda:-1", "cuda:0,1"] {
            let error = text.parse::<Devices>().unwrap_err();
            assert!(error.contains("cuda:N"), "{error}");
        }
    }

    #[test]
    fn a_device_that_is_not_there_is_an_error() {
        Runtime::load(None).unwrap();
        let error = Device::choose(Devices::Gpu(99)).unwrap_err().to_string();
        assert!(error.contains("'cuda:99' cannot be had"), "{error}");
        assert!(error.contains("--device cpu"), "{error}");
        let chosen = Device::choose(Devices::Cpu).unwrap();
        assert!(matches!(chosen[..], [Device::Cpu]));
        assert!(!Device::choose(Devices::Auto).unwrap().is_empty());
    }
}
