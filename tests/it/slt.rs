//! SQL behaviour: every file of `tests/slt`, each in a fresh session.

use std::path::{Path, PathBuf};

use async_trait::async_trait;
use sqllogictest::{AsyncDB, DBOutput, DefaultColumnType, Runner};
use usermirror::session::Session;

use crate::support;

struct Database {
    session: Session,
}

#[async_trait]
impl AsyncDB for Database {
    type Error = datafusion::error::DataFusionError;
    type ColumnType = DefaultColumnType;

    async fn run(&mut self, sql: &str) -> Result<DBOutput<DefaultColumnType>, Self::Error> {
        let frame = self.session.ctx.sql(sql).await?;
        let columns = frame.schema().fields().len();
        let batches = frame.collect().await?;
        if columns == 0 {
            return Ok(DBOutput::StatementComplete(0));
        }
        let mut rows = support::texts(&batches);
        for cell in rows.iter_mut().flatten() {
            if cell.is_empty() {
                *cell = "(empty)".to_owned();
            }
        }
        Ok(DBOutput::Rows {
            types: vec![DefaultColumnType::Text; columns],
            rows,
        })
    }

    async fn shutdown(&mut self) {}

    fn engine_name(&self) -> &str {
        "usermirror"
    }
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = vec![];
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path));
        } else if path.extension().is_some_and(|ending| ending == "slt") {
            found.push(path);
        }
    }
    found.sort();
    found
}

#[tokio::test(flavor = "multi_thread")]
async fn sql_behaves_as_documented() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/slt");
    let files = files(&folder);
    assert!(files.len() > 5, "no .slt files in {}", folder.display());
    let mut failures = vec![];
    for file in files {
        let lake = tempfile::tempdir().unwrap();
        let session = support::session(lake.path()).await;
        let mut runner = Runner::new(async || {
            Ok(Database {
                session: session.clone(),
            })
        });
        if let Err(error) = runner.run_file_async(&file).await {
            failures.push(format!("{error}"));
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n\n"));
}
