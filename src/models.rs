//! Opens models: which backend serves a location, on which device.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use datafusion::common::{DataFusionError, Result, plan_err};
use usermirror_udfs::llm::backend::Backend;
use usermirror_udfs::llm::catalog::{ModelOptions, Open};
use usermirror_udfs::llm::engine::{Engine, EngineOptions};

/// Opens model folders with ONNX Runtime.
#[derive(Debug)]
pub struct OnnxOpener {
    runtime: Option<PathBuf>,
}

impl OnnxOpener {
    /// Uses the library `runtime`, or the one found as
    /// [`usermirror_udfs::llm::runtime::Runtime::load`] says.
    pub fn new(runtime: Option<PathBuf>) -> Self {
        Self { runtime }
    }
}

#[async_trait]
impl Open for OnnxOpener {
    async fn open(&self, location: &str, options: &ModelOptions) -> Result<Arc<dyn Backend>> {
        let mut settings = EngineOptions {
            runtime: self.runtime.clone(),
            ..EngineOptions::default()
        };
        for (key, value) in options {
            match key.as_str() {
                "device" => require_cpu(value)?,
                "threads" => settings.threads = Some(count(key, value)?),
                "slots" => settings.slots = count(key, value)?,
                "max_context" => settings.max_context = count(key, value)?,
                other => {
                    return plan_err!(
                        "a model has no option '{other}'; there are: device, threads, slots, \
                         max_context"
                    );
                }
            }
        }
        let location = location.to_owned();
        let opening = move || Engine::open(Path::new(&location), &settings);
        let engine = tokio::task::spawn_blocking(opening)
            .await
            .map_err(|e| DataFusionError::Execution(format!("opening the model broke off: {e}")))?
            .map_err(|e| DataFusionError::Execution(e.to_string()))?;
        Ok(Arc::new(engine))
    }
}

/// The engine runs on the processor; another device asked for by name is an error, never
/// a silent fallback.
fn require_cpu(device: &str) -> Result<()> {
    match device {
        "auto" | "cpu" => Ok(()),
        other => plan_err!("device '{other}' cannot be had: models run on cpu; pass --device cpu"),
    }
}

fn count(key: &str, value: &str) -> Result<usize> {
    match value.parse() {
        Ok(number) if number > 0 => Ok(number),
        _ => plan_err!("model option {key} '{value}' is not a number above 0"),
    }
}
