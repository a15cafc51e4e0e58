//! Options that every command takes, and the session they make.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Args;

use crate::error::{Error, Result};
use crate::lake::Lake;
use crate::models::ModelOpener;
use crate::parameters::Parameters;
use crate::scripts::Scripts;
use crate::session::Session;
use crate::settings::Settings;
use crate::telemetry::LogFormat;

/// Options that every command takes.
#[derive(Debug, Args)]
pub struct Global {
    /// Where the tables are: a folder or s3://bucket/prefix [default: ./lake]
    #[arg(long, global = true, value_name = "DIR")]
    root: Option<String>,
    /// The job file: root, datasets, models, parameters, steps [default: usermirror.toml, if there]
    #[arg(long, global = true, value_name = "FILE")]
    job: Option<PathBuf>,
    /// A folder with sql/ and datasets/ to use in place of the built-in files
    #[arg(long, global = true, value_name = "DIR")]
    home: Option<String>,
    /// A folder with datasets of your own, one folder of SQL files each (docs/datasets.md)
    #[arg(long, global = true, value_name = "DIR")]
    datasets_dir: Option<String>,
    /// The ONNX Runtime shared library [default: ORT_DYLIB_PATH, then .runtime/]
    #[arg(long, global = true, value_name = "FILE")]
    runtime: Option<String>,
    /// A parameter of the method, as in SQL's @NAME; may be repeated
    #[arg(long = "set", global = true, value_name = "NAME=VALUE")]
    set: Vec<String>,
    /// Seed of every random draw
    #[arg(long, global = true, value_name = "N")]
    pub(super) seed: Option<u64>,
    /// Print results only
    #[arg(long, short, global = true)]
    pub(super) quiet: bool,
    /// How the log on standard error is written
    #[arg(long, global = true, value_enum, default_value_t)]
    pub(super) log_format: LogFormat,
    /// Keep Prometheus metrics in this file, for node_exporter's textfile collector
    #[arg(long, global = true, value_name = "FILE")]
    pub(super) metrics: Option<PathBuf>,
    /// Serve Prometheus metrics at this address, as 127.0.0.1:9464
    #[arg(long, global = true, value_name = "ADDRESS")]
    pub(super) metrics_listen: Option<std::net::SocketAddr>,
}

impl Global {
    /// The settings, by job file `job` if the command names one and with `more` flags.
    ///
    /// # Errors
    /// Fails on a job file that is not understood and on a parameter that does not exist.
    pub fn settings(&self, job: Option<&Path>, more: Vec<(String, String)>) -> Result<Settings> {
        let mut flags = vec![];
        for (name, value) in [
            ("root", &self.root),
            ("home", &self.home),
            ("datasets_dir", &self.datasets_dir),
            ("runtime", &self.runtime),
        ] {
            flags.extend(value.clone().map(|value| (name.to_owned(), value)));
        }
        for setting in &self.set {
            let (name, value) = setting
                .split_once('=')
                .ok_or_else(|| Error::Usage(format!("--set {setting}: write NAME=VALUE")))?;
            flags.push((format!("parameters.{name}"), value.to_owned()));
        }
        let seed = self.seed.map(|seed| seed.to_string());
        flags.extend(seed.map(|seed| ("parameters.seed".to_owned(), seed)));
        flags.extend(more);
        Settings::settle(job.or(self.job.as_deref()), flags)
    }

    /// The session that the options describe.
    ///
    /// # Errors
    /// Fails as [`Self::settings`] does, and on a lake that cannot be read.
    pub async fn session(&self) -> Result<Session> {
        session(&self.settings(None, vec![])?).await
    }
}

/// The session that `settings` describe.
///
/// # Errors
/// Fails on a parameter of another type and on a lake that cannot be read.
pub async fn session(settings: &Settings) -> Result<Session> {
    let parameters = Parameters::default();
    for (name, value) in settings.below("parameters") {
        set(&parameters, name, value)?;
    }
    let seed = parameters.get("seed").map(|seed| seed.to_string());
    let lake = Lake::open(settings.get("root").unwrap_or("./lake")).await?;
    let scripts = Scripts::new(settings.path("home"), settings.path("datasets_dir"));
    let runtime = settings.path("runtime");
    let runtime = runtime.or_else(|| std::env::var_os("ORT_DYLIB_PATH").map(PathBuf::from));
    let runtime = runtime.filter(|path| !path.as_os_str().is_empty());
    let opener = Arc::new(ModelOpener::new(runtime));
    let session = Session::open(lake, scripts, parameters, opener).await?;
    let sampling = settings.below("sampling").into_iter();
    for (name, value) in sampling.chain(seed.iter().map(|seed| ("seed", seed.as_str()))) {
        let change = session
            .ctx
            .sql(&format!("SET model.{name} = '{value}'"))
            .await;
        change.map_err(|e| Error::Usage(e.strip_backtrace()))?;
    }
    Ok(session)
}

/// Opens model `name` as `settings` describe it, on `device` unless they say another.
///
/// # Errors
/// Fails when there is no such model or it cannot be opened.
pub async fn open_model(session: &Session, settings: &Settings, name: &str) -> Result<()> {
    let about = format!("models.{name}");
    let options = settings.below(&about).into_iter();
    let options = options.filter(|(key, _)| *key != "location" && !key.starts_with("price_"));
    let location = settings.get(&format!("{about}.location")).ok_or_else(|| {
        Error::Usage(format!(
            "a step asks the model {name}, and no setting models.{name}.location says where it is"
        ))
    })?;
    let device = settings.get("device").unwrap_or("auto");
    session
        .open_model(name, location, device, options.collect())
        .await
}

/// Sets a parameter; a wrong one is wrong usage.
///
/// # Errors
/// Fails when there is no such parameter or the value is of another type.
pub fn set(parameters: &Parameters, name: &str, value: &str) -> Result<()> {
    parameters
        .set(name, value)
        .map_err(|e| Error::Usage(e.strip_backtrace()))
}
