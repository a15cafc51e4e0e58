//! What a run tells machines: log lines, traces, metrics.
//!
//! Logs go to standard error, for people or as JSON lines; `RUST_LOG` changes how much is
//! told. Traces go where `OTEL_EXPORTER_OTLP_ENDPOINT` says, when it says anything
//! (OpenTelemetry specification, "OTLP Exporter Configuration"). Metrics are Prometheus's.
//! None of them holds a prompt, a decision or a credential.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::ValueEnum;
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use opentelemetry::trace::TracerProvider;
use opentelemetry_sdk::trace::SdkTracerProvider;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer};

use crate::error::{Error, Result};

/// How often the metrics file is written anew.
const REFRESH: Duration = Duration::from_secs(10);

/// How the log is written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// Lines for a person.
    #[default]
    Human,
    /// A JSON object a line.
    Json,
}

/// What was set up, to be ended by [`Telemetry::finish`].
#[derive(Debug, Default)]
pub struct Telemetry {
    traces: Option<SdkTracerProvider>,
    metrics: Option<(PrometheusHandle, PathBuf)>,
}

impl Telemetry {
    /// Sets up the log in `format`, traces where the environment wants them, and metrics
    /// in `file` or at `listen`.
    ///
    /// # Errors
    /// Fails when the trace exporter or the address cannot be used.
    pub fn start(
        format: LogFormat,
        file: Option<&Path>,
        listen: Option<SocketAddr>,
    ) -> Result<Self> {
        let traces = traces()?;
        let spans = traces.as_ref().map(|provider| {
            tracing_opentelemetry::layer().with_tracer(provider.tracer("usermirror"))
        });
        let log = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
        let log = match format {
            LogFormat::Human => log.without_time().with_target(false).boxed(),
            LogFormat::Json => log.json().flatten_event(true).boxed(),
        };
        tracing_subscriber::registry()
            .with(spans.with_filter(filter("usermirror=info")))
            .with(log.with_filter(filter(match format {
                // A person gets step lines; the same once more would only be noise.
                LogFormat::Human => "off",
                LogFormat::Json => "usermirror=info",
            })))
            .try_init()
            .map_err(|e| Error::Failed(format!("the log could not be set up: {e}")))?;
        let metrics = recorder(file, listen)?;
        if let Some((handle, file)) = metrics.clone() {
            // Until the process ends, so that long steps are seen meanwhile.
            tokio::spawn(async move {
                loop {
                    tokio::time::sleep(REFRESH).await;
                    write_whole(&file, &handle.render()).ok();
                }
            });
        }
        Ok(Self { traces, metrics })
    }

    /// Writes metrics, sends the last traces.
    pub fn finish(self) {
        if let Some((metrics, file)) = self.metrics
            && let Err(error) = write_whole(&file, &metrics.render())
        {
            eprintln!("warning: {error}");
        }
        if let Some(Err(error)) = self.traces.map(|traces| traces.shutdown()) {
            eprintln!("warning: traces were lost: {error}");
        }
    }
}

fn filter(otherwise: &str) -> EnvFilter {
    EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(otherwise))
}

fn traces() -> Result<Option<SdkTracerProvider>> {
    let wanted = [
        "OTEL_EXPORTER_OTLP_ENDPOINT",
        "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
    ];
    if !wanted.iter().any(|name| std::env::var_os(name).is_some()) {
        return Ok(None);
    }
    let exporter = opentelemetry_otlp::SpanExporter::builder()
        .with_http()
        .build()
        .map_err(|e| Error::Usage(format!("OTEL_EXPORTER_OTLP_ENDPOINT: {e}")))?;
    let provider = SdkTracerProvider::builder()
        .with_batch_exporter(exporter)
        .with_resource(
            opentelemetry_sdk::Resource::builder()
                .with_service_name("usermirror")
                .build(),
        )
        .build();
    Ok(Some(provider))
}

fn recorder(
    file: Option<&Path>,
    listen: Option<SocketAddr>,
) -> Result<Option<(PrometheusHandle, PathBuf)>> {
    let failed = |e: metrics_exporter_prometheus::BuildError| {
        Error::Usage(format!("metrics could not be set up: {e}"))
    };
    if let Some(address) = listen {
        let builder = PrometheusBuilder::new().with_http_listener(address);
        builder.install().map_err(failed)?;
        return Ok(None);
    }
    let Some(file) = file else {
        return Ok(None);
    };
    let handle = PrometheusBuilder::new()
        .install_recorder()
        .map_err(failed)?;
    Ok(Some((handle, file.to_owned())))
}

/// A collector that reads meanwhile must not see half a file.
fn write_whole(file: &Path, text: &str) -> Result<()> {
    let beside = file.with_extension("prom.partial");
    std::fs::write(&beside, text).map_err(|e| Error::file(&beside, e))?;
    std::fs::rename(&beside, file).map_err(|e| Error::file(file, e))
}
