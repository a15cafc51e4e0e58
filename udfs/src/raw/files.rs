//! Finding and opening raw files, plain or gzipped.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::{Component, Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use datafusion::common::{Result, exec_datafusion_err, plan_datafusion_err, plan_err};
use flate2::bufread::MultiGzDecoder;
use glob::{MatchOptions, Pattern};
use walkdir::WalkDir;

const BUFFER: usize = 1 << 20;

/// What a path has in the place of the session's variant.
const VARIANT: &str = "{variant}";

const MATCHING: MatchOptions = MatchOptions {
    case_sensitive: true,
    require_literal_separator: true,
    require_literal_leading_dot: true,
};

/// The folder that raw paths are relative to.
#[derive(Debug, Default)]
pub struct RawFolder {
    root: Option<PathBuf>,
    variant: Option<String>,
    missing_allowed: bool,
    missing: Mutex<BTreeSet<String>>,
}

/// A file to read.
#[derive(Debug)]
pub struct RawFile {
    /// Where it is.
    pub path: PathBuf,
    /// What its rows call it: its path inside the raw folder, without `.gz`.
    pub name: String,
}

impl RawFolder {
    /// Paths are relative to `root`; the default folder is none, and opens nothing.
    pub fn new(root: PathBuf) -> Self {
        Self {
            root: Some(root),
            ..Self::default()
        }
    }

    /// `{variant}` in a path stands for `variant`.
    ///
    /// # Errors
    /// Fails when it has other characters than ASCII letters, digits, `_` and `-`.
    pub fn with_variant(mut self, variant: &str) -> Result<Self> {
        if !is_variant(variant) {
            return plan_err!(
                "'{variant}' names no part of a dataset: use letters, digits, _ and -"
            );
        }
        self.variant = Some(variant.to_owned());
        Ok(self)
    }

    /// A path that no file matches is read as an empty table and remembered.
    pub fn with_missing_allowed(mut self) -> Self {
        self.missing_allowed = true;
        self
    }

    /// The paths that no file matched so far, sorted.
    pub fn missing(&self) -> Vec<String> {
        let missing = self.missing.lock().unwrap_or_else(PoisonError::into_inner);
        missing.iter().cloned().collect()
    }

    /// The files that `path` stands for, in the order of their names: `path` itself or
    /// what it matches as a pattern, each plain or with `.gz`; the plain one where both
    /// are there.
    ///
    /// # Errors
    /// Fails when no folder was given, when `path` or a file leaves it, when `path` wants
    /// a variant and none was given, and when no file is there (unless that is allowed);
    /// then the message lists what the folder holds.
    pub fn find(&self, path: &str) -> Result<Vec<RawFile>> {
        let Some(root) = &self.root else {
            return plan_err!("no raw folder to read '{path}' from: pass --from DIR");
        };
        let inside = Path::new(path)
            .components()
            .all(|part| matches!(part, Component::Normal(_)));
        if !inside || path.is_empty() {
            return plan_err!("'{path}': a raw file is named by a path inside the raw folder");
        }
        let path = match &self.variant {
            Some(variant) => path.replace(VARIANT, variant),
            None if path.contains(VARIANT) => return want_variant(root, path),
            None => path.to_owned(),
        };
        let found = matching(root, &path)?;
        if found.is_empty() {
            return self.note_missing(root, path);
        }
        found
            .into_iter()
            .map(|(name, path)| confined(root, RawFile { path, name }))
            .collect()
    }

    fn note_missing(&self, root: &Path, path: String) -> Result<Vec<RawFile>> {
        if !self.missing_allowed {
            return plan_err!(
                "{} has no file '{path}' (nor '{path}.gz'); it holds: {}",
                root.display(),
                listing(root)
            );
        }
        let mut missing = self.missing.lock().unwrap_or_else(PoisonError::into_inner);
        missing.insert(path);
        Ok(vec![])
    }
}

fn is_variant(name: &str) -> bool {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
    !name.is_empty() && name.chars().all(allowed)
}

/// Says which variants the folder has files for.
fn want_variant(root: &Path, path: &str) -> Result<Vec<RawFile>> {
    let found = matching(root, &path.replace(VARIANT, "*"))?;
    let (before, after) = path.split_once(VARIANT).unwrap_or_default();
    let parts: Vec<_> = found
        .keys()
        .filter_map(|name| name.strip_prefix(before)?.strip_suffix(after))
        .filter(|part| is_variant(part))
        .take(20)
        .collect();
    let there = match parts.is_empty() {
        true => format!(
            "no file here is called '{path}'; there are: {}",
            listing(root)
        ),
        false => format!("here are: {}", parts.join(", ")),
    };
    plan_err!("this dataset comes in parts: ingest <dataset>/<part>; {there}")
}

/// The files inside `root` that `path` names or matches, by name.
fn matching(root: &Path, path: &str) -> Result<BTreeMap<String, PathBuf>> {
    if path.contains(['*', '?', '[']) {
        return walk(root, path);
    }
    let candidates = [root.join(path), root.join(format!("{path}.gz"))];
    let found = candidates.into_iter().find(|file| file.is_file());
    Ok(found
        .map(|file| (path.to_owned(), file))
        .into_iter()
        .collect())
}

fn walk(root: &Path, pattern: &str) -> Result<BTreeMap<String, PathBuf>> {
    let compiled = Pattern::new(pattern).map_err(|e| plan_datafusion_err!("'{pattern}': {e}"))?;
    let matches = |name: &&str| compiled.matches_with(name, MATCHING);
    let mut found = BTreeMap::new();
    for entry in WalkDir::new(root) {
        let file = entry.map_err(|e| exec_datafusion_err!("{e}"))?.into_path();
        let Some(name) = file.strip_prefix(root).ok().and_then(Path::to_str) else {
            continue;
        };
        let unpacked = name.strip_suffix(".gz").filter(matches);
        if let Some(name) = unpacked.or(Some(name).filter(matches))
            && file.is_file()
        {
            let name = name.to_owned();
            match unpacked {
                Some(_) => _ = found.entry(name).or_insert(file),
                None => _ = found.insert(name, file),
            }
        }
    }
    Ok(found)
}

/// Refuses a file that a link leads out of the folder to.
fn confined(root: &Path, file: RawFile) -> Result<RawFile> {
    let real = |path: &Path| {
        let real = path.canonicalize();
        real.map_err(|e| exec_datafusion_err!("{}: {e}", path.display()))
    };
    if real(&file.path)?.starts_with(real(root)?) {
        return Ok(file);
    }
    plan_err!(
        "'{}' is a link that leads out of the raw folder: put the file itself there",
        file.name
    )
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

    fn folder(files: &[&str]) -> (tempfile::TempDir, RawFolder) {
        let root = tempfile::tempdir().unwrap();
        for file in files {
            let path = root.path().join(file);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, "").unwrap();
        }
        let folder = RawFolder::new(root.path().to_owned());
        (root, folder)
    }

    fn names(folder: &RawFolder, path: &str) -> Vec<String> {
        let files = folder.find(path).unwrap();
        files.into_iter().map(|file| file.name).collect()
    }

    fn message(folder: &RawFolder, path: &str) -> String {
        folder.find(path).unwrap_err().strip_backtrace()
    }

    #[test]
    fn a_missing_file_is_named_with_what_is_there() {
        let (_root, folder) = folder(&["movies.dat"]);
        let message = message(&folder, "users.dat");
        assert!(message.contains("no file 'users.dat'"), "{message}");
        assert!(message.contains("it holds: movies.dat"), "{message}");
    }

    #[test]
    fn paths_cannot_leave_the_folder() {
        let (_root, folder) = folder(&[]);
        for path in [
            "../secret",
            "/etc/passwd",
            "a/../../b",
            "../*",
            "**/../x",
            "",
        ] {
            assert!(
                message(&folder, path).contains("inside the raw folder"),
                "{path}"
            );
        }
    }

    #[cfg(unix)]
    #[test]
    fn links_cannot_leave_the_folder() {
        use std::os::unix::fs::symlink;
        let (outside, _) = super::tests::folder(&["secret.dat", "deep/far.dat"]);
        let (root, folder) = super::tests::folder(&["real.dat"]);
        symlink(
            outside.path().join("secret.dat"),
            root.path().join("link.dat"),
        )
        .unwrap();
        symlink(outside.path(), root.path().join("away")).unwrap();
        symlink(root.path(), root.path().join("loop")).unwrap();
        symlink(root.path().join("real.dat"), root.path().join("alias.dat")).unwrap();
        for path in ["link.dat", "*.dat", "away/secret.dat"] {
            assert!(message(&folder, path).contains("leads out"), "{path}");
        }
        assert_eq!(names(&folder, "alias.dat"), ["alias.dat"]);
        // Links to folders are not followed, so a loop ends and nothing far is found.
        assert_eq!(names(&folder, "**/real.dat"), ["real.dat"]);
        assert!(message(&folder, "**/far.dat").contains("no file"));
    }

    #[test]
    fn without_a_folder_the_flag_is_named() {
        let message = message(&RawFolder::default(), "users.dat");
        assert!(message.contains("--from DIR"), "{message}");
    }

    #[test]
    fn patterns_match_in_order_and_plain_files_before_packed_ones() {
        let (_root, folder) = folder(&[
            "valid/b.tsv.gz",
            "train/b.tsv.gz",
            "train/b.tsv",
            "b.tsv",
            "._b.tsv",
            "other/bb.tsv",
        ]);
        assert_eq!(
            names(&folder, "**/b.tsv"),
            ["b.tsv", "train/b.tsv", "valid/b.tsv"]
        );
        assert_eq!(names(&folder, "*.tsv"), ["b.tsv"]);
        assert_eq!(names(&folder, "train/*"), ["train/b.tsv"]);
        let train = &folder.find("train/*").unwrap()[0].path;
        assert!(train.ends_with("b.tsv"), "{}", train.display());
        assert!(message(&folder, "**x").contains("'**x'"));
    }

    #[test]
    fn a_variant_stands_in_paths() {
        let (root, folder) = folder(&["meta_Toys-1.jsonl.gz", "meta_Home.jsonl", "x.txt"]);
        let path = "meta_{variant}.jsonl";
        let told = message(&folder, path);
        assert!(told.contains("comes in parts"), "{told}");
        assert!(told.contains("here are: Home, Toys-1"), "{told}");
        let told = message(&folder, "{variant}.csv");
        assert!(told.contains("there are: meta_Home.jsonl,"), "{told}");
        let folder = RawFolder::new(root.path().to_owned());
        let folder = folder.with_variant("Toys-1").unwrap();
        assert_eq!(names(&folder, path), ["meta_Toys-1.jsonl"]);
        for bad in ["", "a/b", "..", "*", "a b"] {
            let folder = RawFolder::default().with_variant(bad);
            assert!(folder.is_err(), "{bad}");
        }
    }

    #[test]
    fn missing_files_may_be_allowed_and_are_remembered() {
        let (root, _) = folder(&["a.csv"]);
        let folder = RawFolder::new(root.path().to_owned()).with_missing_allowed();
        assert_eq!(names(&folder, "a.csv"), ["a.csv"]);
        assert!(names(&folder, "c.csv").is_empty());
        assert!(names(&folder, "**/b.csv").is_empty());
        assert!(names(&folder, "c.csv").is_empty());
        assert_eq!(folder.missing(), ["**/b.csv", "c.csv"]);
    }
}
