//! Finding and opening raw files, plain or gzipped.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::{Component, Path, PathBuf};

use datafusion::common::{Result, exec_datafusion_err, plan_err};
use flate2::bufread::MultiGzDecoder;

const BUFFER: usize = 1 << 20;

/// The folder that raw paths are relative to.
#[derive(Debug)]
pub struct RawFolder {
    root: Option<PathBuf>,
}

impl RawFolder {
    /// Paths are relative to `root`; without one nothing can be opened.
    pub fn new(root: Option<PathBuf>) -> Self {
        Self { root }
    }

    /// The file that `name` stands for: itself, or `name.gz` when only that is there.
    ///
    /// # Errors
    /// Fails when no folder was given, when `name` leaves it, and when the file is
    /// missing; then the message lists what the folder holds.
    pub fn find(&self, name: &str) -> Result<PathBuf> {
        let Some(root) = &self.root else {
            return plan_err!("no raw folder to read '{name}' from: pass --from DIR");
        };
        let inside = Path::new(name)
            .components()
            .all(|part| matches!(part, Component::Normal(_)));
        if !inside || name.is_empty() {
            return plan_err!("'{name}': a raw file is named by a path inside the raw folder");
        }
        for candidate in [root.join(name), root.join(format!("{name}.gz"))] {
            if candidate.is_file() {
                return Ok(candidate);
            }
        }
        plan_err!(
            "{} has no file '{name}' (nor '{name}.gz'); it holds: {}",
            root.display(),
            listing(root)
        )
    }
}

/// Opens `path` for reading line by line, decompressing `.gz`.
///
/// # Errors
/// Fails when the file cannot be opened.
pub fn open(path: &Path) -> Result<Box<dyn BufRead + Send>> {
    let file = File::open(path).map_err(|e| exec_datafusion_err!("{}: {e}", path.display()))?;
    let plain = BufReader::with_capacity(BUFFER, file);
    if path.extension().is_some_and(|ending| ending == "gz") {
        let unpacked = MultiGzDecoder::new(plain);
        return Ok(Box::new(BufReader::with_capacity(BUFFER, unpacked)));
    }
    Ok(Box::new(plain))
}

fn listing(root: &Path) -> String {
    let mut names: Vec<String> = std::fs::read_dir(root)
        .into_iter()
        .flatten()
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .collect();
    names.sort();
    if names.is_empty() {
        return "nothing".to_owned();
    }
    names.truncate(20);
    names.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(folder: &RawFolder, name: &str) -> String {
        folder.find(name).unwrap_err().strip_backtrace()
    }

    #[test]
    fn a_missing_file_is_named_with_what_is_there() {
        let root = tempfile::tempdir().unwrap();
        std::fs::write(root.path().join("movies.dat"), "").unwrap();
        let folder = RawFolder::new(Some(root.path().to_owned()));
        let message = message(&folder, "users.dat");
        assert!(message.contains("no file 'users.dat'"), "{message}");
        assert!(message.contains("it holds: movies.dat"), "{message}");
    }

    #[test]
    fn paths_cannot_leave_the_folder() {
        let root = tempfile::tempdir().unwrap();
        let folder = RawFolder::new(Some(root.path().to_owned()));
        for name in ["../secret", "/etc/passwd", "a/../../b", ""] {
            assert!(
                message(&folder, name).contains("inside the raw folder"),
                "{name}"
            );
        }
    }

    #[test]
    fn without_a_folder_the_flag_is_named() {
        let message = message(&RawFolder::new(None), "users.dat");
        assert!(message.contains("--from DIR"), "{message}");
    }
}
