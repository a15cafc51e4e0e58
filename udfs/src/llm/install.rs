//! Gives a session the model functions.

use std::sync::Arc;

use datafusion::execution::session_state::SessionStateBuilder;

use super::catalog::{ModelFactory, Open};
use super::functions::functions;
use super::models::Models;
use super::planner::{ExtensibleQueryPlanner, InferPlanner};
use super::rule::{LiftCalls, PruneUnreadAnswers};
use super::settings::ModelSettings;

/// Adds the model functions, the rules and the planner that run them, the
/// `model.*` settings, and `CREATE EXTERNAL TABLE … STORED AS MODEL`.
///
/// Call it after `with_default_features` and `with_config`. It sets the query
/// planner: a session with extension planners of its own sets an
/// [`ExtensibleQueryPlanner`] that holds them and an [`InferPlanner`] afterwards.
pub fn install(
    mut builder: SessionStateBuilder,
    models: &Arc<Models>,
    opener: Arc<dyn Open>,
) -> SessionStateBuilder {
    builder
        .scalar_functions()
        .get_or_insert_default()
        .extend(functions(models).into_iter().map(Arc::new));
    let config = builder.config().take().unwrap_or_default();
    let planner = InferPlanner::new(Arc::clone(models));
    let factory = ModelFactory::new(Arc::clone(models), opener);
    builder
        .with_config(config.with_option_extension(ModelSettings::default()))
        .with_analyzer_rule(Arc::new(LiftCalls::new(Arc::clone(models))))
        .with_optimizer_rule(Arc::new(PruneUnreadAnswers))
        .with_query_planner(Arc::new(ExtensibleQueryPlanner::new(vec![Arc::new(
            planner,
        )])))
        .with_table_factory("MODEL".to_owned(), Arc::new(factory))
}
