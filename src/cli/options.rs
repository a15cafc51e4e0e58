//! Options that every command takes, and the session they make.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Args;
use serde::Deserialize;

use crate::error::{Error, Result};
use crate::lake::Lake;
use crate::models::OnnxOpener;
use crate::parameters::Parameters;
use crate::scripts::Scripts;
use crate::session::Session;

/// Options that every command takes.
#[derive(Debug, Args)]
pub struct Global {
    /// Where the tables are: a folder or s3://bucket/prefix
    #[arg(
        long,
        global = true,
        value_name = "DIR",
        env = "USERMIRROR_ROOT",
        default_value = "./lake"
    )]
    pub root: String,
    /// A folder with sql/ and datasets/ to use in place of the built-in files
    #[arg(long, global = true, value_name = "DIR", env = "USERMIRROR_HOME")]
    pub home: Option<PathBuf>,
    /// A folder with datasets of your own, one folder of SQL files each (docs/datasets.md)
    #[arg(
        long,
        global = true,
        value_name = "DIR",
        env = "USERMIRROR_DATASETS_DIR"
    )]
    pub datasets_dir: Option<PathBuf>,
    /// The ONNX Runtime shared library [default: ORT_DYLIB_PATH, then usermirror.toml, then .runtime/]
    #[arg(long, global = true, value_name = "FILE")]
    pub runtime: Option<PathBuf>,
    /// A parameter of the method, as in SQL's @NAME; may be repeated
    #[arg(long = "set", global = true, value_name = "NAME=VALUE")]
    pub set: Vec<String>,
    /// Seed of every random draw
    #[arg(long, global = true, value_name = "N")]
    pub seed: Option<u64>,
    /// Print results only
    #[arg(long, short, global = true)]
    pub quiet: bool,
}

/// `usermirror.toml` in the current folder.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Config {
    /// Path of the ONNX Runtime shared library.
    runtime: Option<PathBuf>,
}

impl Global {
    /// The session that the options describe.
    ///
    /// # Errors
    /// Fails on a parameter that does not exist and on a lake that cannot be read.
    pub async fn session(&self) -> Result<Session> {
        let parameters = Parameters::default();
        for setting in &self.set {
            let (name, value) = setting
                .split_once('=')
                .ok_or_else(|| Error::Usage(format!("--set {setting}: write NAME=VALUE")))?;
            set(&parameters, name, value)?;
        }
        if let Some(seed) = self.seed {
            set(&parameters, "seed", &seed.to_string())?;
        }
        let seed = parameters.get("seed").map(|seed| seed.to_string());
        let lake = Lake::open(&self.root)?;
        let scripts = Scripts::new(self.home.clone(), self.datasets_dir.clone());
        let opener = Arc::new(OnnxOpener::new(self.runtime_library()?));
        let session = Session::open(lake, scripts, parameters, opener).await?;
        if let Some(seed) = seed {
            session.ctx.sql(&format!("SET model.seed = {seed}")).await?;
        }
        Ok(session)
    }

    /// The runtime library named by flag, environment or configuration, in that order.
    ///
    /// # Errors
    /// Fails when `usermirror.toml` is not understood.
    pub fn runtime_library(&self) -> Result<Option<PathBuf>> {
        if self.runtime.is_some() {
            return Ok(self.runtime.clone());
        }
        if let Some(path) = std::env::var_os("ORT_DYLIB_PATH").filter(|path| !path.is_empty()) {
            return Ok(Some(path.into()));
        }
        let file = Path::new("usermirror.toml");
        match std::fs::read_to_string(file) {
            Ok(text) => {
                let config: Config = toml::from_str(&text)
                    .map_err(|e| Error::Usage(format!("usermirror.toml: {e}")))?;
                Ok(config.runtime)
            }
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(e) => Err(Error::file(file, e)),
        }
    }
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
