//! Models as tables: `CREATE EXTERNAL TABLE weak STORED AS MODEL LOCATION '…'`
//! loads one, `SELECT * FROM weak` shows what it is, `DROP TABLE weak` frees it.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::sync::Arc;

use async_trait::async_trait;
use datafusion::arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray};
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::catalog::{Session, TableProvider, TableProviderFactory};
use datafusion::common::plan_err;
use datafusion::datasource::{MemTable, TableType};
use datafusion::error::Result;
use datafusion::logical_expr::{CreateExternalTable, Expr};
use datafusion::physical_plan::ExecutionPlan;

use super::backend::Backend;
use super::models::Models;

/// What `OPTIONS (…)` says of a model, by lower-case key.
pub type ModelOptions = BTreeMap<String, String>;

/// Loads a model. The session gives one that knows its backends.
#[async_trait]
pub trait Open: Debug + Send + Sync {
    /// Loads the model at `location`, a folder or a URL as the statement wrote it.
    /// Long blocking work belongs on `tokio::task::spawn_blocking`.
    ///
    /// # Errors
    /// Fails when the model cannot be loaded or an option is unknown.
    async fn open(&self, location: &str, options: &ModelOptions) -> Result<Arc<dyn Backend>>;
}

/// The factory behind `STORED AS MODEL`.
#[derive(Debug)]
pub(super) struct ModelFactory {
    models: Arc<Models>,
    opener: Arc<dyn Open>,
}

impl ModelFactory {
    /// Loads with `opener` and registers with `models`.
    pub(super) fn new(models: Arc<Models>, opener: Arc<dyn Open>) -> Self {
        Self { models, opener }
    }
}

#[async_trait]
impl TableProviderFactory for ModelFactory {
    async fn create(
        &self,
        _session: &dyn Session,
        statement: &CreateExternalTable,
    ) -> Result<Arc<dyn TableProvider>> {
        let name = statement.name.table();
        if !statement.schema.fields().is_empty() {
            return plan_err!("model '{name}' has columns of its own: declare none");
        }
        let [location] = statement.locations.as_slice() else {
            return plan_err!("model '{name}' needs exactly one LOCATION");
        };
        let backend = self.opener.open(location, &options(statement)).await?;
        let table = ModelTable::try_new(name, backend, Arc::clone(&self.models))?;
        Ok(Arc::new(table))
    }
}

/// The statement's options; SQL planning puts `format.` before bare keys.
fn options(statement: &CreateExternalTable) -> ModelOptions {
    let bare = |key: &str| key.strip_prefix("format.").unwrap_or(key).to_lowercase();
    statement
        .options
        .iter()
        .map(|(key, value)| (bare(key), value.clone()))
        .collect()
}

/// A loaded model as a table of one row. The model is registered as long as the
/// table lives.
#[derive(Debug)]
struct ModelTable {
    name: String,
    backend: Arc<dyn Backend>,
    models: Arc<Models>,
    facts: MemTable,
}

impl ModelTable {
    fn try_new(name: &str, backend: Arc<dyn Backend>, models: Arc<Models>) -> Result<Self> {
        let row = facts(name, backend.as_ref())?;
        let facts = MemTable::try_new(row.schema(), vec![vec![row]])?;
        models.register(name, Arc::clone(&backend));
        Ok(Self {
            name: name.to_owned(),
            backend,
            models,
            facts,
        })
    }
}

impl Drop for ModelTable {
    fn drop(&mut self) {
        self.models.forget(&self.name, &self.backend);
    }
}

#[async_trait]
impl TableProvider for ModelTable {
    fn schema(&self) -> SchemaRef {
        self.facts.schema()
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    async fn scan(
        &self,
        session: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        self.facts.scan(session, projection, filters, limit).await
    }
}

fn facts(name: &str, backend: &dyn Backend) -> Result<RecordBatch> {
    let text = |value: &str| -> ArrayRef { Arc::new(StringArray::from(vec![value])) };
    let number = |value: usize| -> ArrayRef { Arc::new(Int64Array::from(vec![value as i64])) };
    let info = backend.info();
    Ok(RecordBatch::try_from_iter([
        ("name", text(name)),
        ("location", text(&info.location)),
        ("family", text(&info.family)),
        ("precision", text(&info.precision)),
        ("context_length", number(info.context_length)),
        ("vocabulary", number(info.vocabulary)),
        ("device", text(&info.device)),
        ("fingerprint", text(&info.fingerprint)),
        (
            "provenance",
            Arc::new(StringArray::from(vec![info.provenance.as_deref()])),
        ),
        (
            "dimensions",
            Arc::new(Int64Array::from(vec![
                backend.dimensions().map(|dimensions| dimensions as i64),
            ])),
        ),
    ])?)
}
