//! What a step's SQL says of itself, in the comment that its file begins with:
//!
//! ```sql
//! -- What the step is for, in words.
//! --
//! -- output: scores
//! -- inputs: decisions, scenarios
//! -- key: scenario_id, source
//! -- models: weak
//! ```
//!
//! `output` is the table it makes, `inputs` those it reads. With a `key` the step is done
//! unit by unit: a unit is every row of the first input with the same key, and adds all of
//! its rows to the output at once. `units: split = eval` leaves out all other rows of that
//! input, and `rows: source = strong` says that only such rows of the output are the step's
//! own. `checks` names a folder of checks that must find nothing, and `needs` files of SQL
//! that come before. A whole value may be a parameter, as in `models: @model`.

use crate::error::{Error, Result};
use crate::parameters::Parameters;
use crate::scripts::Script;

/// A step: SQL files of which the last one declares what they make.
#[derive(Debug, Clone)]
pub struct Declared {
    /// `scores`, `decisions/strong`, …
    pub name: String,
    /// Run in their order; the last one ends with the query.
    pub scripts: Vec<Script>,
    /// The table it makes.
    pub output: String,
    /// Tables it reads; the first one drives a keyed step.
    pub inputs: Vec<String>,
    /// Columns that make a unit of work; none for a step that makes its table whole.
    pub key: Vec<String>,
    /// Values that tell the rows of the first input that make units.
    pub units: Vec<Condition>,
    /// Values that tell the output's rows that are the step's own.
    pub rows: Vec<Condition>,
    /// Models it asks.
    pub models: Vec<String>,
    /// A folder of checks.
    pub checks: Option<String>,
    /// Files that come before.
    pub needs: Vec<String>,
}

/// A column and the value that it has to have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Condition {
    /// The column.
    pub column: String,
    /// Its value, as text.
    pub value: String,
}

impl Declared {
    /// Reads what the last of `scripts` declares, with the parameters' values of now.
    ///
    /// # Errors
    /// Fails when there is no script, when it declares no output, or something unknown.
    pub fn new(scripts: Vec<Script>, parameters: &Parameters) -> Result<Self> {
        let last = scripts
            .last()
            .ok_or_else(|| Error::Failed("a step without SQL files".to_owned()))?;
        let wrong = |what: &str| Error::Usage(format!("{}: {what}", last.path));
        let mut step = Self {
            name: String::new(),
            output: String::new(),
            inputs: vec![],
            key: vec![],
            units: vec![],
            rows: vec![],
            models: vec![],
            checks: None,
            needs: vec![],
            scripts: vec![],
        };
        for (name, value) in last.declarations() {
            match name {
                "output" => step.output = value.to_owned(),
                "inputs" => step.inputs.extend(list(value)),
                "key" => step.key = list(value),
                "models" => {
                    let models = list(value).into_iter();
                    let models = models.map(|model| parameters.fill_in(&model));
                    step.models = models.collect::<datafusion::error::Result<_>>()?;
                }
                "checks" => step.checks = Some(value.to_owned()),
                "needs" => step.needs = list(value),
                "units" => step.units = conditions(value, parameters)?,
                "rows" => step.rows = conditions(value, parameters)?,
                _ => {}
            }
        }
        if step.output.is_empty() {
            return Err(wrong(
                "a step says what it makes: begin the file with `-- output: TABLE`, and with \
                 `-- inputs:`, `-- key:` and `-- models:` where it has them",
            ));
        }
        if !step.key.is_empty() && step.inputs.is_empty() {
            return Err(wrong(
                "a step with a key needs `-- inputs:`, the first of which has it",
            ));
        }
        let own: Vec<_> = step.rows.iter().map(|row| row.value.as_str()).collect();
        step.name = match last.stem() {
            _ if !own.is_empty() => format!("{}/{}", step.output, own.join("/")),
            stem if stem == step.output => stem.to_owned(),
            stem => format!("{}/{stem}", step.output),
        };
        step.scripts = scripts;
        Ok(step)
    }
}

/// Reads `column = value, column = value`.
fn conditions(text: &str, parameters: &Parameters) -> Result<Vec<Condition>> {
    let condition = |part: String| {
        let (column, value) = part.split_once('=').ok_or_else(|| {
            Error::Usage(format!("'{part}' is no condition: write `column = value`"))
        })?;
        Ok(Condition {
            column: column.trim().to_owned(),
            value: parameters.fill_in(value.trim())?,
        })
    };
    list(text).into_iter().map(condition).collect()
}

fn list(value: &str) -> Vec<String> {
    value
        .split(',')
        .map(|item| item.trim().to_owned())
        .collect()
}
