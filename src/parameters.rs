//! Parameters of the method: `@name` in SQL, `SET usermirror.name = value` to change.
//!
//! One list serves the command line's flags, the REPL and the SQL files. A
//! parameter becomes a literal before the query is optimised, so that `LIMIT`,
//! filters and function arguments see a constant.

use std::any::Any;
use std::fmt;
use std::sync::{Arc, RwLock};

use datafusion::arrow::datatypes::DataType;
use datafusion::common::config::{ConfigEntry, ConfigExtension, ExtensionOptions};
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{Result, ScalarValue, config_err, plan_err};
use datafusion::config::ConfigOptions;
use datafusion::execution::SessionStateBuilder;
use datafusion::execution::context::SessionContext;
use datafusion::logical_expr::expr_rewriter::NamePreserver;
use datafusion::logical_expr::var_provider::{VarProvider, VarType};
use datafusion::logical_expr::{Expr, LogicalPlan};
use datafusion::optimizer::AnalyzerRule;

/// A parameter: its name, its default (which fixes its type), and what it means.
struct Definition {
    name: &'static str,
    default: Value,
    help: &'static str,
}

#[derive(Clone, Copy)]
enum Value {
    Integer(i64),
    Real(f64),
    Text(&'static str),
}

impl From<Value> for ScalarValue {
    fn from(value: Value) -> Self {
        match value {
            Value::Integer(value) => Self::Int64(Some(value)),
            Value::Real(value) => Self::Float64(Some(value)),
            Value::Text(value) => Self::Utf8(Some(value.to_owned())),
        }
    }
}

const fn parameter(name: &'static str, default: Value, help: &'static str) -> Definition {
    Definition {
        name,
        default,
        help,
    }
}

/// Every parameter. Defaults follow the paper (section "Experimental setup").
const DEFINITIONS: &[Definition] = &[
    parameter("seed", Value::Integer(42), "seed of every random draw"),
    parameter(
        "dataset",
        Value::Text(""),
        "the dataset being built; set by the run",
    ),
    parameter(
        "mode",
        Value::Text("time_safe"),
        "time_safe: nothing from after the scenario's time; paper: the published method",
    ),
    parameter(
        "scenarios",
        Value::Integer(1024),
        "scenarios sampled from each dataset",
    ),
    parameter(
        "split_by",
        Value::Text("user"),
        "what keeps evaluation apart from training: user, or time",
    ),
    parameter(
        "eval_share",
        Value::Real(0.2),
        "share of the users (or of the timeline's end) held out for evaluation",
    ),
    parameter(
        "earlier_min",
        Value::Integer(3),
        "earlier interactions a sampled one must have",
    ),
    parameter("history_min", Value::Integer(2), "shortest history shown"),
    parameter("history_max", Value::Integer(10), "longest history shown"),
    parameter(
        "choices_min",
        Value::Integer(2),
        "shortest training exposure, the chosen item included",
    ),
    parameter(
        "choices_max",
        Value::Integer(12),
        "longest training exposure, the chosen item included",
    ),
    parameter(
        "eval_choices",
        Value::Integer(5),
        "length of every evaluation exposure",
    ),
    parameter(
        "style",
        Value::Text("brief"),
        "instruction to the model: full (EKB, for instruction-tuned models) or brief",
    ),
    parameter(
        "windows",
        Value::Integer(4),
        "time windows whose factors and word weights are computed apart in time_safe mode",
    ),
    parameter(
        "factor_rank",
        Value::Integer(64),
        "singular vectors of the collaborative ranker",
    ),
    parameter(
        "draws",
        Value::Integer(10),
        "decisions per model and scenario",
    ),
    parameter(
        "pairs",
        Value::Integer(10_000),
        "preference pairs to select over all strata",
    ),
    parameter(
        "samples",
        Value::Integer(5),
        "decisions per evaluated model and scenario",
    ),
    parameter(
        "rotations",
        Value::Integer(1),
        "ways in which the options of an evaluated scenario are put: as they were shown, moved on by one, by two",
    ),
    parameter(
        "model",
        Value::Text(""),
        "the model being evaluated; set by evaluate and doctor",
    ),
    parameter(
        "method",
        Value::Text(""),
        "how it is asked; set by evaluate",
    ),
    parameter(
        "against",
        Value::Text(""),
        "the model or baseline that others are compared with; the first evaluated one if empty",
    ),
    parameter(
        "select",
        Value::Text(""),
        "the strategy that selects pairs; set by the run",
    ),
    parameter(
        "letter_mass",
        Value::Real(0.99),
        "least that the letters' probabilities of an imported score must add up to",
    ),
    parameter(
        "error_share",
        Value::Real(0.01),
        "share of model rows with an error above which a run exits with 3",
    ),
];

/// The parameters' current values, shared by a session and its plans.
#[derive(Clone)]
pub struct Parameters(Arc<RwLock<Vec<ScalarValue>>>);

impl Default for Parameters {
    fn default() -> Self {
        let values = DEFINITIONS.iter().map(|d| d.default.into()).collect();
        Self(Arc::new(RwLock::new(values)))
    }
}

impl fmt::Debug for Parameters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.values()).finish()
    }
}

impl Parameters {
    /// The current value of `name`, if there is such a parameter.
    pub fn get(&self, name: &str) -> Option<ScalarValue> {
        let index = DEFINITIONS.iter().position(|d| d.name == name)?;
        self.read().get(index).cloned()
    }

    /// Sets `name` from text, as `SET usermirror.name = value` does.
    ///
    /// # Errors
    /// Fails on an unknown name and on text that is not of the parameter's type.
    pub fn set(&self, name: &str, value: &str) -> Result<()> {
        let Some(index) = DEFINITIONS.iter().position(|d| d.name == name) else {
            let known: Vec<_> = DEFINITIONS.iter().map(|d| d.name).collect();
            return config_err!("no parameter {name}; there are: {}", known.join(", "));
        };
        let data_type = ScalarValue::from(DEFINITIONS[index].default).data_type();
        let Ok(value) = ScalarValue::try_from_string(value.to_owned(), &data_type) else {
            return config_err!("{name} = {value}: not a {data_type}");
        };
        let mut values = self
            .0
            .write()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        values[index] = value;
        Ok(())
    }

    /// Every `(name, value)`, in the list's order: what a ledger row records.
    pub fn values(&self) -> Vec<(&'static str, String)> {
        DEFINITIONS
            .iter()
            .zip(self.read().iter())
            .map(|(definition, value)| (definition.name, value.to_string()))
            .collect()
    }

    /// Makes `SET usermirror.name = value` work, and `@name` once the session knows the
    /// variable. Call it before other analyzer rules are added: they should see values.
    pub fn install(&self, builder: SessionStateBuilder) -> SessionStateBuilder {
        builder.with_analyzer_rule(Arc::new(InlineParameters(self.clone())))
    }

    /// Tells `ctx` what `@name` is.
    pub fn register(&self, ctx: &SessionContext) {
        ctx.register_variable(VarType::UserDefined, Arc::new(self.clone()));
    }

    /// `text`, or where it is `@name`, the value of that parameter.
    ///
    /// # Errors
    /// Fails when there is no such parameter.
    pub fn fill_in(&self, text: &str) -> Result<String> {
        match text.strip_prefix('@') {
            None => Ok(text.to_owned()),
            Some(name) => match self.get(name) {
                Some(value) => Ok(value.to_string()),
                None => plan_err!("no parameter @{name}"),
            },
        }
    }

    fn read(&self) -> std::sync::RwLockReadGuard<'_, Vec<ScalarValue>> {
        self.0
            .read()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

impl VarProvider for Parameters {
    fn get_value(&self, names: Vec<String>) -> Result<ScalarValue> {
        match names
            .first()
            .and_then(|name| self.get(name.trim_start_matches('@')))
        {
            Some(value) => Ok(value),
            None => plan_err!("no parameter {}", names.join(".")),
        }
    }

    fn get_type(&self, names: &[String]) -> Option<DataType> {
        let name = names.first()?.trim_start_matches('@');
        Some(self.get(name)?.data_type())
    }
}

impl ConfigExtension for Parameters {
    const PREFIX: &'static str = "usermirror";
}

impl ExtensionOptions for Parameters {
    fn as_any(&self) -> &dyn Any {
        self
    }

    fn as_any_mut(&mut self) -> &mut dyn Any {
        self
    }

    // Shared on purpose: the session's variable provider must see what SET wrote.
    // A running query is safe, its parameters are literals already.
    fn cloned(&self) -> Box<dyn ExtensionOptions> {
        Box::new(self.clone())
    }

    fn set(&mut self, key: &str, value: &str) -> Result<()> {
        Self::set(self, key, value)
    }

    fn entries(&self) -> Vec<ConfigEntry> {
        DEFINITIONS
            .iter()
            .zip(self.values())
            .map(|(definition, (name, value))| ConfigEntry {
                key: format!("{}.{name}", Self::PREFIX),
                value: Some(value),
                description: definition.help,
            })
            .collect()
    }
}

/// Replaces `@name` by its value before anything else looks at the plan.
#[derive(Debug)]
struct InlineParameters(Parameters);

impl AnalyzerRule for InlineParameters {
    fn name(&self) -> &str {
        "inline_parameters"
    }

    fn analyze(&self, plan: LogicalPlan, _config: &ConfigOptions) -> Result<LogicalPlan> {
        plan.transform_up_with_subqueries(|plan| {
            // Columns keep the names that the nodes above know them by.
            let names = NamePreserver::new(&plan);
            let replaced = plan.map_expressions(|expr| {
                let name = names.save(&expr);
                let replaced = expr.transform_up(|expr| match expr {
                    Expr::ScalarVariable(_, names) => {
                        let value = self.0.get_value(names)?;
                        Ok(Transformed::yes(Expr::Literal(value, None)))
                    }
                    other => Ok(Transformed::no(other)),
                })?;
                Ok(replaced.update_data(|expr| name.restore(expr)))
            })?;
            if replaced.transformed {
                replaced.map_data(LogicalPlan::recompute_schema)
            } else {
                Ok(replaced)
            }
        })
        .map(|transformed| transformed.data)
    }
}
