//! SQL files: where they are found and how they are run.
//!
//! The files of `sql/` and `datasets/` are built into the binary; `--home DIR` reads a
//! changed copy instead. In a file, `CREATE …` statements make intermediate relations
//! and a final bare query is the file's result.

use std::path::PathBuf;

use datafusion::prelude::{DataFrame, SessionContext};
use datafusion::sql::parser::DFParser;
use include_dir::{Dir, include_dir};

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

    /// The leading comment: what the file is for.
    pub fn comment(&self) -> String {
        let lines = self.text.lines().map_while(|line| line.strip_prefix("--"));
        lines.map(str::trim).collect::<Vec<_>>().join(" ")
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
}

impl Scripts {
    /// The built-in files, or those of `home`, a folder with `sql/` and `datasets/`.
    pub fn new(home: Option<PathBuf>) -> Self {
        Self { home }
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

    /// One SQL file by its path.
    ///
    /// # Errors
    /// Fails when there is no such file.
    pub fn file(&self, path: &str) -> Result<Script> {
        let text = match &self.home {
            Some(home) => {
                let file = home.join(path);
                std::fs::read_to_string(&file).map_err(|e| Error::file(&file, e))?
            }
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
    /// Fails when `--home` has no `datasets` folder.
    pub fn datasets(&self) -> Result<Vec<String>> {
        let folders = self.list("datasets")?;
        let names = folders.iter().filter_map(|path| path.rsplit('/').next());
        Ok(names.map(str::to_owned).collect())
    }

    /// Checks that `dataset` has a folder.
    ///
    /// # Errors
    /// Fails with the list of those that have.
    pub fn require_dataset(&self, dataset: &str) -> Result<()> {
        let known = self.datasets()?;
        if known.iter().any(|name| name == dataset) {
            return Ok(());
        }
        Err(Error::Usage(format!(
            "no dataset '{dataset}'; there are: {}. Another one is a folder of SQL files in \
             datasets/, see docs/datasets.md",
            known.join(", ")
        )))
    }

    fn list(&self, folder: &str) -> Result<Vec<String>> {
        let mut paths: Vec<String> = match &self.home {
            Some(home) => {
                let path = home.join(folder);
                let entries = std::fs::read_dir(&path).map_err(|e| Error::file(&path, e))?;
                entries
                    .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
                    .map(|name| format!("{folder}/{name}"))
                    .collect()
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
