//! Finds the ONNX Runtime library and loads it, once per process.
//!
//! The library is not linked: a machine without it can still run every query
//! that calls no model. So it is looked for when the first model is opened, and
//! whatever is wrong with it is an error that says how to mend it.

use std::ffi::CStr;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use ort::environment::Environment;

/// The oldest minor version that models are tested with: that of the newest build for CUDA.
const OLDEST_MINOR: u32 = 31;

/// The folder that `make runtime` fills.
const FOLDER: &str = ".runtime";

/// Names a library file explicitly.
const VARIABLE: &str = "ORT_DYLIB_PATH";

/// Why there is no ONNX Runtime.
#[derive(Debug, Clone, thiserror::Error)]
pub enum RuntimeError {
    /// No library file was found anywhere.
    #[error(
        "no ONNX Runtime library was found: run `make runtime` to fetch it into `.runtime`, \
         or set ORT_DYLIB_PATH to a libonnxruntime of version 1.{OLDEST_MINOR} or newer"
    )]
    Missing,
    /// The file is not there, is no library, or is another library.
    #[error(
        "`{path}` cannot be loaded as ONNX Runtime ({reason}): run `make runtime` to fetch a \
         working one into `.runtime`, or correct ORT_DYLIB_PATH"
    )]
    Unloadable {
        /// The file that was tried.
        path: PathBuf,
        /// What the loader said.
        reason: String,
    },
    /// The library is older than any that models are tested with.
    #[error(
        "`{path}` is ONNX Runtime {version}, and models need 1.{OLDEST_MINOR} or newer: run \
         `make runtime` to fetch it into `.runtime`, or correct ORT_DYLIB_PATH"
    )]
    TooOld {
        /// The file that was tried.
        path: PathBuf,
        /// Its version.
        version: String,
    },
    /// The library loaded, but its environment did not start.
    #[error("ONNX Runtime did not start: {0}")]
    Start(String),
}

/// The loaded library.
#[derive(Debug, Clone)]
pub struct Runtime {
    /// The library file.
    pub path: PathBuf,
    /// Its version, such as `1.32.0`.
    pub version: String,
    pub(crate) environment: Environment,
}

/// The library of this process. It is never unloaded: sessions point into it.
static LOADED: Mutex<Option<Runtime>> = Mutex::new(None);

impl Runtime {
    /// Loads ONNX Runtime from `explicit`, else from `ORT_DYLIB_PATH`, else from
    /// the nearest `.runtime` folder above the current folder or the executable.
    /// Once a library is loaded every later call returns that one.
    ///
    /// # Errors
    /// When there is no library, or not one that can run our graphs. A later
    /// call may name another file.
    pub fn load(explicit: Option<&Path>) -> Result<Self, RuntimeError> {
        let mut loaded = LOADED.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(runtime) = &*loaded {
            return Ok(runtime.clone());
        }
        let runtime = start(find(explicit)?)?;
        Ok(loaded.insert(runtime).clone())
    }
}

fn find(explicit: Option<&Path>) -> Result<PathBuf, RuntimeError> {
    let variable = std::env::var_os(VARIABLE).filter(|value| !value.is_empty());
    match (explicit, variable) {
        (Some(path), _) => Ok(path.to_owned()),
        (None, Some(path)) => Ok(path.into()),
        (None, None) => search().ok_or(RuntimeError::Missing),
    }
}

fn search() -> Option<PathBuf> {
    let starts = [std::env::current_dir(), std::env::current_exe()];
    starts.iter().flatten().find_map(|start| {
        let folders = start.ancestors().map(|folder| folder.join(FOLDER));
        folders.filter_map(|folder| newest_library(&folder)).next()
    })
}

/// The library file below `folder` whose name, and so whose version, is last.
fn newest_library(folder: &Path) -> Option<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        let entries = std::fs::read_dir(folder).into_iter().flatten();
        for entry in entries.flatten() {
            let path = entry.path();
            if path.is_dir() {
                folders.push(path);
            } else if is_library(&entry.file_name().to_string_lossy()) {
                found.push(path);
            }
        }
    }
    found.into_iter().max()
}

fn is_library(name: &str) -> bool {
    name.starts_with("libonnxruntime.so")
        || (name.starts_with("libonnxruntime.") && name.ends_with(".dylib"))
        || name == "onnxruntime.dll"
}

fn start(path: PathBuf) -> Result<Runtime, RuntimeError> {
    let unloadable = |reason: String| RuntimeError::Unloadable {
        path: path.clone(),
        reason,
    };
    // An absolute path, because a relative one would be resolved against the
    // executable's folder.
    let absolute = path
        .canonicalize()
        .map_err(|error| unloadable(error.to_string()))?;
    // The version is read before the library is handed over for good: one that
    // is too old must leave room for another.
    let version = version(&absolute).map_err(|error| unloadable(error.to_string()))?;
    if minor(&version) < Some(OLDEST_MINOR) {
        return Err(RuntimeError::TooOld { path, version });
    }
    let environment = ort::init_from(&absolute)
        .map_err(|error| unloadable(error.to_string()))?
        .with_name("usermirror")
        .with_telemetry(false)
        .build()
        .map_err(|error| RuntimeError::Start(error.to_string()))?;
    Ok(Runtime {
        path: absolute,
        version,
        environment,
    })
}

fn version(path: &Path) -> Result<String, libloading::Error> {
    type GetApiBase = unsafe extern "C" fn() -> *const ort::sys::OrtApiBase;
    // SAFETY: the symbol is ONNX Runtime's documented entry point, whose type and
    // whose never-null static results are fixed by its C interface.
    unsafe {
        let library = libloading::Library::new(path)?;
        let base = library.get::<GetApiBase>(b"OrtGetApiBase")?();
        let version = CStr::from_ptr(((*base).GetVersionString)());
        Ok(version.to_string_lossy().into_owned())
    }
}

fn minor(version: &str) -> Option<u32> {
    version.split('.').nth(1)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_file_says_what_to_run() {
        let error = start("/nowhere/libonnxruntime.so".into()).unwrap_err();
        assert!(matches!(error, RuntimeError::Unloadable { .. }));
        assert!(error.to_string().contains("make runtime"), "{error}");
    }

    #[test]
    fn another_file_is_not_a_library() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let error = start(file.path().into()).unwrap_err();
        assert!(matches!(error, RuntimeError::Unloadable { .. }));
    }

    #[test]
    fn the_newest_library_below_a_folder_is_taken() {
        let root = tempfile::tempdir().unwrap();
        let capi = root.path().join("onnxruntime/capi");
        std::fs::create_dir_all(&capi).unwrap();
        for name in [
            "libonnxruntime.so.1.31.1",
            "libonnxruntime.so.1.32.0",
            "libonnxruntime_providers_shared.so",
        ] {
            std::fs::write(capi.join(name), "").unwrap();
        }
        let newest = newest_library(root.path()).unwrap();
        assert!(newest.ends_with("libonnxruntime.so.1.32.0"));
        assert_eq!(newest_library(Path::new("/nowhere")), None);
    }

    #[test]
    fn versions_compare_by_their_minor() {
        assert!(minor("1.30.2") < Some(OLDEST_MINOR));
        assert!(minor("1.31.1") >= Some(OLDEST_MINOR));
        assert!(minor("malformed") < Some(OLDEST_MINOR));
    }
}
