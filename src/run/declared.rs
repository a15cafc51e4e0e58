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
//! its rows to the output at once. `rows: source = strong` says that only such rows of the
//! output are the step's own. `checks` names a folder of checks that must find nothing.

use crate::error::{Error, Result};
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
    /// The column and value of the output's rows that are the step's own.
    pub rows: Option<(String, String)>,
    /// Models it asks.
    pub models: Vec<String>,
    /// A folder of checks.
    pub checks: Option<String>,
}

impl Declared {
    /// Reads what the last of `scripts` declares.
    ///
    /// # Errors
    /// Fails when there is no script, when it declares no output, or something unknown.
    pub fn new(scripts: Vec<Script>) -> Result<Self> {
        let last = scripts
            .last()
            .ok_or_else(|| Error::Failed("a step without SQL files".to_owned()))?;
        let wrong = |what: &str| Error::Usage(format!("{}: {what}", last.path));
        let mut step = Self {
            name: String::new(),
            output: String::new(),
            inputs: vec![],
            key: vec![],
            rows: None,
            models: vec![],
            checks: None,
            scripts: vec![],
        };
        for (name, value) in last.declarations() {
            match name {
                "output" => step.output = value.to_owned(),
                "inputs" => step.inputs.extend(list(value)),
                "key" => step.key = list(value),
                "models" => step.models = list(value),
                "checks" => step.checks = Some(value.to_owned()),
                "rows" => {
                    let (column, value) = value
                        .split_once('=')
                        .ok_or_else(|| wrong("write `-- rows: column = value`"))?;
                    step.rows = Some((column.trim().to_owned(), value.trim().to_owned()));
                }
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
        step.name = match last.stem() {
            stem if stem == step.output => stem.to_owned(),
            stem => format!("{}/{stem}", step.output),
        };
        step.scripts = scripts;
        Ok(step)
    }
}

fn list(value: &str) -> Vec<String> {
    value
        .split(',')
        .map(|item| item.trim().to_owned())
        .collect()
}
