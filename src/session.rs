//! The session: one SQL context with the lake's tables, the functions, the
//! parameters and the models.

use std::sync::Arc;

use datafusion::execution::SessionStateBuilder;
use datafusion::execution::cache::cache_manager::CacheManagerConfig;
use datafusion::execution::memory_pool::FairSpillPool;
use datafusion::execution::runtime_env::RuntimeEnvBuilder;
use datafusion::prelude::{SessionConfig, SessionContext};
use datafusion_cli::object_storage::instrumented::InstrumentedObjectStoreRegistry;
use usermirror_udfs::llm::catalog::Open;
use usermirror_udfs::llm::models::Models;
use usermirror_udfs::llm::progress::Observer;
use usermirror_udfs::raw::RawFolder;
use usermirror_udfs::{llm, raw, subqueries};

use crate::error::Result;
use crate::lake::Lake;
use crate::parameters::Parameters;
use crate::progress::ModelWatch;
use crate::scripts::Scripts;

/// A SQL session over a lake.
#[derive(Clone)]
pub struct Session {
    /// Where queries run.
    pub ctx: SessionContext,
    /// Where tables are kept.
    pub lake: Lake,
    /// What `@name` means.
    pub parameters: Parameters,
    /// The SQL files.
    pub scripts: Scripts,
    /// The models that functions can name, shared by sessions made from one another.
    pub models: Arc<Models>,
    /// What opens models.
    opener: Arc<dyn Open>,
    /// What the models are doing, for people to see.
    pub watch: Arc<ModelWatch>,
    /// Where the raw-file functions read.
    pub raw: Arc<RawFolder>,
    /// The store registry, which the REPL's commands inspect.
    pub stores: Arc<InstrumentedObjectStoreRegistry>,
}

impl Session {
    /// A session with every table of `lake`.
    ///
    /// # Errors
    /// Fails when the lake cannot be read.
    pub async fn open(
        lake: Lake,
        scripts: Scripts,
        parameters: Parameters,
        opener: Arc<dyn Open>,
    ) -> Result<Self> {
        let shared = (Arc::default(), Arc::default());
        let raw = (RawFolder::default(), None);
        Self::build(lake, scripts, parameters, shared, opener, raw).await
    }

    /// A sister session, with the same lake, parameters and models but relations of
    /// its own: what one dataset's build makes never meets another's.
    ///
    /// # Errors
    /// Fails when the lake cannot be read.
    pub async fn sister(&self) -> Result<Self> {
        self.sister_over(RawFolder::default(), None).await
    }

    /// A sister session whose raw-file functions read the folder `raw`, and in which sorts
    /// and joins spill to disk beyond `memory` bytes, when those are given.
    ///
    /// # Errors
    /// Fails when the lake cannot be read.
    pub async fn sister_over(&self, raw: RawFolder, memory: Option<usize>) -> Result<Self> {
        Self::build(
            self.lake.clone(),
            self.scripts.clone(),
            self.parameters.clone(),
            (Arc::clone(&self.models), Arc::clone(&self.watch)),
            Arc::clone(&self.opener),
            (raw, memory),
        )
        .await
    }

    async fn build(
        lake: Lake,
        scripts: Scripts,
        parameters: Parameters,
        (models, watch): (Arc<Models>, Arc<ModelWatch>),
        opener: Arc<dyn Open>,
        (raw, memory): (RawFolder, Option<usize>),
    ) -> Result<Self> {
        let stores = Arc::new(InstrumentedObjectStoreRegistry::new());
        // Tables are replaced while the session lives, so listings must be fresh.
        let caches = CacheManagerConfig::default().with_list_files_cache_limit(0);
        let mut runtime = RuntimeEnvBuilder::new()
            .with_object_store_registry(Arc::clone(&stores) as _)
            .with_cache_manager(caches);
        if let Some(bytes) = memory {
            runtime = runtime.with_memory_pool(Arc::new(FairSpillPool::new(bytes)));
        }
        let config = SessionConfig::from_env()?
            .with_information_schema(true)
            .with_extension(Arc::new(Observer(Arc::clone(&watch) as _)))
            .with_option_extension(parameters.clone());
        let builder = SessionStateBuilder::new()
            .with_default_features()
            .with_config(config)
            .with_runtime_env(runtime.build_arc()?);
        let builder = llm::install(builder, &models, Arc::clone(&opener))
            .with_physical_optimizer_rule(Arc::new(subqueries::HideValues));
        let mut state = builder.build();
        usermirror_udfs::register_all(&mut state)?;
        let ctx = SessionContext::new_with_state(state).enable_url_table();
        let raw = Arc::new(raw);
        raw::register(&ctx, Arc::clone(&raw));
        parameters.install(&ctx);
        lake.register(&ctx).await?;
        Ok(Self {
            ctx,
            lake,
            parameters,
            scripts,
            models,
            opener,
            watch,
            raw,
            stores,
        })
    }

    /// The `model.*` settings that decisions depend on, as one text.
    pub fn sampling_settings(&self) -> String {
        let mut settings: Vec<_> = self
            .ctx
            .copied_config()
            .options()
            .entries()
            .into_iter()
            .filter(|entry| entry.key.starts_with("model."))
            .map(|entry| format!("{}={}", entry.key, entry.value.unwrap_or_default()))
            .collect();
        settings.sort();
        settings.join(" ")
    }

    /// Opens the model at `location` and makes it the model and the table `name`.
    ///
    /// # Errors
    /// Fails when the folder is no model or the device cannot be had.
    pub async fn open_model(&self, name: &str, location: &str, device: &str) -> Result<()> {
        let text = |value: &str| value.replace('\'', "''");
        self.ctx
            .sql(&format!(
                "CREATE EXTERNAL TABLE \"{}\" STORED AS MODEL LOCATION '{}' OPTIONS (device '{}')",
                name.replace('"', "\"\""),
                text(location),
                text(device)
            ))
            .await?;
        Ok(())
    }
}
