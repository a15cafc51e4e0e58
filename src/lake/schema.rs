//! How SQL sees the lake: a schema whose tables are opened when a query names them.
//!
//! So a session starts at once however large the lake is, every query reads the newest
//! state, and a table that cannot be read spoils no query but its own.

use std::any::Any;
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use async_trait::async_trait;
use datafusion::catalog::{
    CatalogProvider, MemorySchemaProvider, SchemaProvider, TableProvider, UrlTableFactory,
};
use datafusion::common::{Result as QueryResult, TableReference, exec_datafusion_err};
use datafusion::datasource::dynamic_file::DynamicListTableFactory;
use datafusion::error::DataFusionError;
use datafusion::execution::SessionState;
use datafusion::logical_expr::TableType;
use datafusion::prelude::SessionContext;

use super::{Lake, PIPELINE_SCHEMA, is_delta, parquet};
use crate::error::{Error, Result};

/// Makes schema `name` of `ctx` show the lake's tables of that schema, of which `found`
/// are known already.
pub fn register(
    lake: &Lake,
    ctx: &SessionContext,
    name: &str,
    found: &[TableReference],
) -> Result<()> {
    let known = found.iter().filter(|table| table.schema() == Some(name));
    let urls = DynamicListTableFactory::default();
    urls.session_store().with_state(ctx.state_weak_ref());
    let schema = LakeSchema {
        lake: lake.clone(),
        name: name.to_owned(),
        held: MemorySchemaProvider::new(),
        known: RwLock::new(known.map(|table| table.table().to_owned()).collect()),
        hidden: Mutex::default(),
        urls,
    };
    catalog(ctx)?.register_schema(name, Arc::new(schema))?;
    Ok(())
}

/// Hides the tables that schema `name` of `ctx` shows, until they are written again.
pub fn hide(ctx: &SessionContext, name: &str) -> Result<()> {
    with(ctx, name, |schema| {
        let known = schema.known();
        schema.hidden().extend(known);
    })
}

/// Shows stored `table`, in place of any relation that `ctx` holds by its name.
pub fn show(ctx: &SessionContext, table: &TableReference) -> Result<()> {
    let name = table.schema().unwrap_or(PIPELINE_SCHEMA);
    with(ctx, name, |schema| {
        schema.hidden().remove(table.table());
    })?;
    ctx.deregister_table(table.clone())?;
    Ok(())
}

fn with(ctx: &SessionContext, name: &str, change: impl FnOnce(&LakeSchema)) -> Result<()> {
    if let Some(schema) = find(ctx, name)? {
        let schema: &dyn Any = schema.as_ref();
        schema.downcast_ref().map(change);
    }
    Ok(())
}

/// The schema called `name` of `ctx`.
pub fn find(ctx: &SessionContext, name: &str) -> Result<Option<Arc<dyn SchemaProvider>>> {
    Ok(catalog(ctx)?.schema(name))
}

fn catalog(ctx: &SessionContext) -> Result<Arc<dyn CatalogProvider>> {
    let options = ctx.state().config().options().catalog.clone();
    ctx.catalog(&options.default_catalog)
        .ok_or_else(|| Error::Failed("the session has no catalog".to_owned()))
}

/// A schema of the lake: relations that the session holds, over tables that are stored.
#[derive(Debug)]
struct LakeSchema {
    lake: Lake,
    name: String,
    /// Views and tables of this session; they hide stored tables of the same name.
    held: MemorySchemaProvider,
    /// Stored tables seen so far, for listings.
    known: RwLock<BTreeSet<String>>,
    /// Stored tables that the session is not to see.
    hidden: Mutex<BTreeSet<String>>,
    /// Files that queries name by their path; knows the session.
    urls: DynamicListTableFactory,
}

impl LakeSchema {
    fn hidden(&self) -> MutexGuard<'_, BTreeSet<String>> {
        self.hidden.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The stored tables seen so far and not hidden.
    fn known(&self) -> BTreeSet<String> {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        known.difference(&self.hidden()).cloned().collect()
    }

    /// The stored table `name`, in its newest state.
    async fn stored(&self, name: &str) -> QueryResult<Option<Arc<dyn TableProvider>>> {
        let table = TableReference::partial(self.name.as_str(), name);
        let opened = if is_delta(&table) {
            let opened = self.lake.provider(name).await;
            opened.map_err(|e| exec_datafusion_err!("{e}"))?
        } else if self.lake.contains(&table).await.map_err(external)? {
            let address = self.lake.root.address(&self.lake.file(&table));
            let opened = parquet::open(&self.state()?, &address, name).await;
            let opened = opened.map_err(|e| {
                exec_datafusion_err!(
                    "table {table} cannot be read: {}. Its file is {address}; bring it back from \
                     a copy, or ingest the dataset again. Other tables stay readable",
                    e.strip_backtrace()
                )
            })?;
            Some(Arc::new(opened) as Arc<dyn TableProvider>)
        } else {
            None
        };
        if opened.is_some() {
            let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
            known.insert(name.to_owned());
        }
        Ok(opened)
    }

    fn state(&self) -> QueryResult<SessionState> {
        let session = self.urls.session_store().get_session().upgrade();
        session
            .and_then(|session| session.read().as_any().downcast_ref().cloned())
            .ok_or_else(|| exec_datafusion_err!("the session has ended"))
    }
}

#[async_trait]
impl SchemaProvider for LakeSchema {
    fn table_names(&self) -> Vec<String> {
        let mut names = self.known();
        names.extend(self.held.table_names());
        names.into_iter().collect()
    }

    async fn table(&self, name: &str) -> QueryResult<Option<Arc<dyn TableProvider>>> {
        if let Some(held) = self.held.table(name).await? {
            return Ok(Some(held));
        }
        if !is_plain(name) {
            return self.urls.try_new(name).await;
        }
        if self.hidden().contains(name) {
            return Ok(None);
        }
        self.stored(name).await
    }

    // Listings must not open every table, least of all a broken one.
    async fn table_type(&self, name: &str) -> QueryResult<Option<TableType>> {
        match self.held.table(name).await? {
            Some(held) => Ok(Some(held.table_type())),
            None => Ok(self.known().contains(name).then_some(TableType::Base)),
        }
    }

    fn register_table(
        &self,
        name: String,
        table: Arc<dyn TableProvider>,
    ) -> QueryResult<Option<Arc<dyn TableProvider>>> {
        self.held.register_table(name, table)
    }

    fn deregister_table(&self, name: &str) -> QueryResult<Option<Arc<dyn TableProvider>>> {
        self.held.deregister_table(name)
    }

    fn table_exist(&self, name: &str) -> bool {
        self.held.table_exist(name) || self.known().contains(name)
    }
}

/// Whether `name` can be a table's and is no path.
fn is_plain(name: &str) -> bool {
    name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

fn external(error: Error) -> DataFusionError {
    DataFusionError::External(Box::new(error))
}
