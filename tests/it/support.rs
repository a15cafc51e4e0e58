//! What the tests share: sessions over a lake of their own, and answers as text.

use std::path::Path;
use std::sync::Arc;

use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::util::display::{ArrayFormatter, FormatOptions};
use usermirror::datasets::Dataset;
use usermirror::ingest::Source;
use usermirror::lake::Lake;
use usermirror::models::ModelOpener;
use usermirror::parameters::Parameters;
use usermirror::scripts::Scripts;
use usermirror::session::Session;

/// A session over the lake in `folder`, without models.
pub async fn session(folder: &Path) -> Session {
    session_with(folder, Scripts::default()).await
}

/// Such a session with SQL files of its own.
pub async fn session_with(folder: &Path, scripts: Scripts) -> Session {
    let lake = Lake::open(&folder.to_string_lossy()).await.unwrap();
    let opener = Arc::new(ModelOpener::new(None));
    Session::open(lake, scripts, Parameters::default(), opener)
        .await
        .unwrap()
}

/// The dataset called `name`.
pub fn dataset(name: &str) -> Dataset {
    name.parse().unwrap()
}

/// The raw files of dataset `name` in `from`, of which every row must be good.
pub fn strict(name: &str, from: &Path) -> Source {
    Source {
        dataset: dataset(name),
        from: from.to_owned(),
        strict: true,
        partial: false,
        memory: 256 << 20,
    }
}

/// The rows of a query, each cell as SQL would show it.
pub async fn rows(session: &Session, sql: &str) -> Vec<Vec<String>> {
    let batches = session.ctx.sql(sql).await.unwrap().collect().await.unwrap();
    texts(&batches)
}

/// The cells of `batches` as text, null as `NULL`.
pub fn texts(batches: &[RecordBatch]) -> Vec<Vec<String>> {
    let options = FormatOptions::default().with_null("NULL");
    let mut rows = vec![];
    for batch in batches {
        let columns: Vec<_> = batch
            .columns()
            .iter()
            .map(|column| ArrayFormatter::try_new(column, &options).unwrap())
            .collect();
        for row in 0..batch.num_rows() {
            rows.push(
                columns
                    .iter()
                    .map(|column| column.value(row).to_string())
                    .collect(),
            );
        }
    }
    rows
}
