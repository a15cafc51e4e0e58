//! SQL files: where they are found and how they are run.
//!
//! The files of `sql/` and `datasets/` are built into the binary; `--home DIR` reads a
//! changed copy instead, `--datasets-dir DIR` adds datasets. In a file, `CREATE …` statements make intermediate relations
//! and a final bare query is the file's result.

use std::path::{Path, PathBuf};

use datafusion::prelude::{DataFrame, SessionContext};
use datafusion::sql::parser::DFParser;
use include_dir::{Dir, include_dir};

use crate::datasets::Dataset;
use crate::error::{Error, Result};

static SQL: Dir = include_dir!("$CARGO_MANIFEST_DIR/sql");
static DATASETS: Dir = include_dir!("$CARGO_MANIFEST_DIR/datasets");

/// One SQL file.
#[derive(Debug, Clone)]
pub struct Script {
    /// Its path, like `sql/scenarios/10_catalog.sql`.
    pub path: String,
    /// Its text.
    pub text: String,
}

impl Script {
    /// The file's name without folder, number and ending: the table its query makes.
    pub fn stem(&self) -> &str {
        let file = self.path.rsplit('/').next().unwrap_or(&self.path);
        let stem = file.strip_suffix(".sql").unwrap_or(file);
        stem.trim_start_matches(|c: char| c.is_ascii_digit() || c == '_')
    }

    /// A file of the user's own.
    ///
    /// # Errors
    /// Fails when it cannot be read.
    pub fn read(path: &Path) -> Result<Self> {
        Ok(Self {
            path: path.display().to_string(),
            text: std::fs::read_to_string(path)
                .map_err(|e| Error::Usage(format!("{}: {e}", path.display())))?,
        })
    }

    /// The first paragraph of the leading comment: what the file is for.
    pub fn comment(&self) -> String {
        let lines = self.leading().take_while(|line| !line.is_empty());
        lines.collect::<Vec<_>>().join(" ")
    }

    /// The lines `name: value` of the leading comment, after its first paragraph.
    pub fn declarations(&self) -> impl Iterator<Item = (&str, &str)> {
        let lines = self.leading().skip_while(|line| !line.is_empty());
        lines.filter_map(|line| {
            let (name, value) = line.split_once(": ")?;
            Some((name, value.trim()))
        })
    }

    /// What the file declares by `-- name: a, b`.
    pub fn list(&self, name: &str) -> Vec<&str> {
        let declared = self.declarations().filter(|(known, _)| *known == name);
        let items = declared.flat_map(|(_, value)| value.split(','));
        items.map(str::trim).collect()
    }

    fn leading(&self) -> impl Iterator<Item = &str> {
        let lines = self.text.lines();
        lines.map_while(|line| Some(line.strip_prefix("--")?.trim()))
    }

    /// Runs the statements in order and returns the last one's rows, not yet computed,
    /// when it is a query.
    ///
    /// # Errors
    /// Stops at the first statement that fails and names the file.
    pub async fn run(&self, ctx: &SessionContext) -> Result<Option<DataFrame>> {
        self.run_statements(ctx)
            .await
            .map_err(|e| Error::Query(e.context(self.path.clone())))
    }

    async fn run_statements(
        &self,
        ctx: &SessionContext,
    ) -> datafusion::error::Result<Option<DataFrame>> {
        let mut result = None;
        for statement in DFParser::parse_sql(&self.text)? {
            let plan = ctx.state().statement_to_plan(statement).await?;
            let rows = ctx.execute_logical_plan(plan).await?;
            // Statements return a frame of no columns.
            result = (!rows.schema().fields().is_empty()).then_some(rows);
        }
        Ok(result)
    }
}

/// The SQL files of this installation.
#[derive(Debug, Clone, Default)]
pub struct Scripts {
    home: Option<PathBuf>,
    more_datasets: Option<PathBuf>,
}

impl Scripts {
    /// The built-in files, or those of `home`, a folder with `sql/` and `datasets/`; and
    /// the datasets of `more_datasets`, one folder each, which go before others of their name.
    pub fn new(home: Option<PathBuf>, more_datasets: Option<PathBuf>) -> Self {
        Self {
            home,
            more_datasets,
        }
    }

    /// The SQL files of `folder` (`sql/scenarios`), in the order of their names.
    ///
    /// # Errors
    /// Fails when there is no such folder.
    pub fn folder(&self, folder: &str) -> Result<Vec<Script>> {
        let mut files = self.list(folder)?;
        files.retain(|path| path.ends_with(".sql"));
        files.iter().map(|path| self.file(path)).collect()
    }

    /// The file of `folder` whose stem is `name`.
    ///
    /// # Errors
    /// Fails with the names there are when it is none of them.
    pub fn one_of(&self, folder: &str, name: &str) -> Result<Script> {
        let mut scripts = self.folder(folder)?;
        let names: Vec<_> = scripts
            .iter()
            .map(|script| script.stem().to_owned())
            .collect();
        match names.iter().position(|known| known == name) {
            Some(place) => Ok(scripts.swap_remove(place)),
            None => Err(Error::Usage(format!(
                "{folder} has no file '{name}'; there are: {}",
                names.join(", ")
            ))),
        }
    }

    /// One SQL file by its path.
    ///
    /// # Errors
    /// Fails when there is no such file.
    pub fn file(&self, path: &str) -> Result<Script> {
        let text = match self.outside(path) {
            Some(file) => std::fs::read_to_string(&file).map_err(|e| Error::file(&file, e))?,
            None => {
                let (dir, inner) = built_in(path)?;
                let file = dir.get_file(inner).and_then(|file| file.contents_utf8());
                file.ok_or_else(|| missing(path))?.to_owned()
            }
        };
        Ok(Script {
            path: path.to_owned(),
            text,
        })
    }

    /// The datasets there are folders for.
    ///
    /// # Errors
    /// Fails when `--home` has no `datasets` folder or `--datasets-dir` cannot be read.
    pub fn datasets(&self) -> Result<Vec<String>> {
        let folders = self.list("datasets")?;
        let names = folders.iter().filter_map(|path| path.rsplit('/').next());
        let mut names: Vec<String> = names.map(str::to_owned).collect();
        if let Some(more) = &self.more_datasets {
            names.extend(entries(more)?);
        }
        names.sort();
        names.dedup();
        Ok(names)
    }

    /// Checks that `dataset` has a folder.
    ///
    /// # Errors
    /// Fails with the list of those that have.
    pub fn require_dataset(&self, dataset: &Dataset) -> Result<()> {
        let known = self.datasets()?;
        if known.iter().any(|name| name == dataset.folder()) {
            return Ok(());
        }
        Err(Error::Usage(format!(
            "no dataset '{}'; there are: {}. Another one is a folder of SQL files: see \
             docs/datasets.md and --datasets-dir",
            dataset.folder(),
            known.join(", ")
        )))
    }

    /// Where `path` is outside the binary, if it is.
    fn outside(&self, path: &str) -> Option<PathBuf> {
        let more = self.more_datasets.iter().filter_map(|folder| {
            let file = folder.join(path.strip_prefix("datasets/")?);
            file.exists().then_some(file)
        });
        let home = self.home.iter().map(|home| home.join(path));
        more.chain(home).next()
    }

    fn list(&self, folder: &str) -> Result<Vec<String>> {
        let mut paths: Vec<String> = match &self.home {
            Some(home) => {
                let names = entries(&home.join(folder))?.into_iter();
                names.map(|name| format!("{folder}/{name}")).collect()
            }
            None => {
                let (root, inner) = built_in(folder)?;
                let dir = match inner {
                    "" => Some(root),
                    inner => root.get_dir(inner),
                };
                let entries = dir.ok_or_else(|| missing(folder))?.entries();
                let names = entries
                    .iter()
                    .filter_map(|entry| entry.path().file_name()?.to_str());
                names.map(|name| format!("{folder}/{name}")).collect()
            }
        };
        paths.sort();
        Ok(paths)
    }
}

/// The names of what `folder` holds.
fn entries(folder: &Path) -> Result<Vec<String>> {
    let entries = std::fs::read_dir(folder).map_err(|e| Error::file(folder, e))?;
    let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    Ok(names.collect())
}

/// The built-in tree that `path` starts with, and the rest of the path.
fn built_in(path: &str) -> Result<(&'static Dir<'static>, &str)> {
    let (top, rest) = path.split_once('/').unwrap_or((path, ""));
    match top {
        "sql" => Ok((&SQL, rest)),
        "datasets" => Ok((&DATASETS, rest)),
        _ => Err(missing(path)),
    }
}

fn missing(path: &str) -> Error {
    Error::Usage(format!("{path}: no such SQL file or folder"))
}
