//! The session: one SQL context with the lake's tables, the functions, the
//! parameters and the models.

use std::collections::BTreeMap;
use std::ops::Deref;
use std::path::Path;
use std::sync::Arc;

use datafusion::execution::SessionStateBuilder;
use datafusion::execution::cache::cache_manager::CacheManagerConfig;
use datafusion::execution::memory_pool::FairSpillPool;
use datafusion::execution::runtime_env::RuntimeEnvBuilder;
use datafusion::prelude::{SessionConfig, SessionContext};
use datafusion_cli::object_storage::instrumented::InstrumentedObjectStoreRegistry;
use usermirror_udfs::llm::catalog::Open;
use usermirror_udfs::llm::encoder::is_encoder;
use usermirror_udfs::llm::models::Models;
use usermirror_udfs::llm::progress::Observer;
use usermirror_udfs::raw::RawFolder;
use usermirror_udfs::{llm, raw, subqueries};
use uuid::Uuid;

use crate::commits::Commits;
use crate::error::Result;
use crate::lake::Lake;
use crate::lineage::ExplainRow;
use crate::models;
use crate::parameters::Parameters;
use crate::progress::ModelWatch;
use crate::scripts::Scripts;
use crate::stop::Stop;

/// A SQL session over a lake.
#[derive(Clone)]
pub struct Session {
    /// Where queries run.
    pub ctx: SessionContext,
    /// Where the raw-file functions read.
    pub raw: Arc<RawFolder>,
    /// The store registry, which the REPL's commands inspect.
    pub stores: Arc<InstrumentedObjectStoreRegistry>,
    shared: Shared,
}

/// What sister sessions have in common.
#[derive(Clone)]
pub struct Shared {
    /// Where tables are kept.
    pub lake: Lake,
    /// What `@name` means.
    pub parameters: Parameters,
    /// The SQL files.
    pub scripts: Scripts,
    /// The models that functions can name.
    pub models: Arc<Models>,
    /// What opens models.
    opener: Arc<dyn Open>,
    /// What the models are doing, for people to see.
    pub watch: Arc<ModelWatch>,
    /// The name of this run: unique, and later runs sort after earlier ones.
    pub run: Arc<str>,
    /// Whether the process was asked to stop.
    pub stop: Stop,
}

impl Deref for Session {
    type Target = Shared;

    fn deref(&self) -> &Shared {
        &self.shared
    }
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
        let shared = Shared {
            lake,
            parameters,
            scripts,
            models: Arc::default(),
            opener,
            watch: Arc::default(),
            run: Uuid::now_v7().to_string().into(),
            stop: Stop::default(),
        };
        Self::build(shared, RawFolder::default(), None).await
    }

    /// The session, which `stop` can ask to stop.
    pub fn stopped_by(mut self, stop: Stop) -> Self {
        self.shared.stop = stop;
        self
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
        let sister = Self::build(self.shared.clone(), raw, memory).await?;
        sister.with_settings_of(self)
    }

    /// A sister session whose models only count what they would read.
    ///
    /// # Errors
    /// Fails when the lake cannot be read.
    pub async fn counting(&self) -> Result<Self> {
        let shared = Shared {
            models: Arc::new(self.models.counting()),
            watch: Arc::new(ModelWatch::estimating()),
            ..self.shared.clone()
        };
        let sister = Self::build(shared, RawFolder::default(), None).await?;
        sister.with_settings_of(self)
    }

    async fn build(shared: Shared, raw: RawFolder, memory: Option<usize>) -> Result<Self> {
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
            .with_extension(Arc::new(Observer(Arc::clone(&shared.watch) as _)))
            .with_option_extension(shared.parameters.clone());
        let builder = SessionStateBuilder::new()
            .with_default_features()
            .with_config(config)
            .with_runtime_env(runtime.build_arc()?);
        let builder = shared.parameters.install(builder);
        let builder = llm::install(builder, &shared.models, Arc::clone(&shared.opener))
            .with_physical_optimizer_rule(Arc::new(subqueries::HideValues));
        let mut state = builder.build();
        usermirror_udfs::register_all(&mut state)?;
        let ctx = SessionContext::new_with_state(state);
        let raw = Arc::new(raw);
        raw::register(&ctx, Arc::clone(&raw));
        ctx.register_udtf("commits", Arc::new(Commits(shared.lake.clone())));
        let explain = ExplainRow {
            lake: shared.lake.clone(),
            scripts: shared.scripts.clone(),
        };
        ctx.register_udtf("explain_row", Arc::new(explain));
        shared.parameters.register(&ctx);
        shared.lake.register(&ctx).await?;
        Ok(Self {
            ctx,
            raw,
            stores,
            shared,
        })
    }

    /// The `model.*` settings that decisions depend on, as one text.
    pub fn sampling_settings(&self) -> String {
        let settings = self.model_settings().into_iter();
        let settings: Vec<_> = settings
            .map(|(key, value)| format!("{key}={value}"))
            .collect();
        settings.join(" ")
    }

    /// The `model.*` settings, by name.
    fn model_settings(&self) -> BTreeMap<String, String> {
        let entries = self.ctx.copied_config().options().entries().into_iter();
        let entries = entries.filter(|entry| entry.key.starts_with("model."));
        entries
            .map(|entry| (entry.key, entry.value.unwrap_or_default()))
            .collect()
    }

    /// Asks models as `other` does.
    fn with_settings_of(self, other: &Self) -> Result<Self> {
        let state = self.ctx.state_ref();
        let mut state = state.write();
        for (key, value) in other.model_settings() {
            state.config_mut().options_mut().set(&key, &value)?;
        }
        drop(state);
        Ok(self)
    }

    /// Opens the model at `location` with `options` and makes it the model and the table
    /// `name`. A model of a folder runs on `device` unless its options say another, and an
    /// encoder on the processor.
    ///
    /// # Errors
    /// Fails when the folder is no model, the device cannot be had, or an option is wrong.
    pub async fn open_model(
        &self,
        name: &str,
        location: &str,
        device: &str,
        mut options: BTreeMap<&str, &str>,
    ) -> Result<()> {
        if is_encoder(Path::new(location)) {
            options.entry("device").or_insert("cpu");
        } else if !models::is_served(location) {
            options.entry("device").or_insert(device);
        }
        let text = |value: &str| value.replace('\'', "''");
        let options = options.iter();
        let options: Vec<_> = options
            .map(|(key, value)| format!("'{}' '{}'", text(key), text(value)))
            .collect();
        self.ctx
            .sql(&format!(
                "CREATE EXTERNAL TABLE \"{}\" STORED AS MODEL LOCATION '{}' OPTIONS ({})",
                name.replace('"', "\"\""),
                text(location),
                options.join(", ")
            ))
            .await?;
        Ok(())
    }
}
