//! Evaluation: how often models choose what the users of held-out scenarios chose.
//!
//! Each (model, method) is a keyed step of its own, whose rows join the table
//! `evaluations`: `sql/evaluate/methods` has a file a method, which says how a model is
//! asked. What needs no language model becomes the table `baselines`.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use super::declared::Declared;
use super::{Options, RowErrors, baselines, foresee, keyed};
use crate::error::{Error, Result};
use crate::lake::lease::Holder;
use crate::progress;
use crate::session::Session;

/// The method that is used where none is named.
pub const METHOD: &str = "decision";

/// What follows a method's name where options are rotated.
const ROTATED: &str = "rotated";

/// Rotations of a scenario when all are asked for: one a letter.
const ALL: &str = "26";

/// A model and how it is asked: `weak`, `weak/direct`, `weak/direct/rotated`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subject {
    /// The model's name.
    pub model: String,
    /// A file of `sql/evaluate/methods`.
    pub method: String,
    /// Whether each scenario is shown in every rotation of its options.
    pub rotated: bool,
}

impl FromStr for Subject {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let parts: Vec<_> = text.split('/').collect();
        let (model, method, rotated) = match parts[..] {
            [model] => (model, METHOD, false),
            [model, method] => (model, method, false),
            [model, method, ROTATED] => (model, method, true),
            _ => ("", "", false),
        };
        if model.is_empty() || method.is_empty() {
            return Err(Error::Usage(format!(
                "'{text}' is no model to evaluate: write MODEL, MODEL/METHOD or \
                 MODEL/METHOD/{ROTATED}"
            )));
        }
        Ok(Self {
            model: model.to_owned(),
            method: method.to_owned(),
            rotated,
        })
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.model, self.label())
    }
}

impl Subject {
    /// What the column `method` says.
    fn label(&self) -> String {
        match self.rotated {
            true => format!("{}/{ROTATED}", self.method),
            false => self.method.clone(),
        }
    }

    /// The step that asks the model; its SQL reads whom and how from the parameters.
    fn step(&self, session: &Session) -> Result<Declared> {
        let parameters = &session.parameters;
        parameters.set("model", &self.model)?;
        parameters.set("method", &self.label())?;
        parameters.set("rotations", if self.rotated { ALL } else { "1" })?;
        let mut scripts = session.scripts.folder("sql/evaluate")?;
        scripts.retain(|script| ["shown", "evaluations"].contains(&script.stem()));
        let method = session
            .scripts
            .one_of("sql/evaluate/methods", &self.method)?;
        scripts.insert(1, method);
        Declared::new(scripts, parameters)
    }
}

/// What is evaluated.
#[derive(Debug, Clone, Default)]
pub struct Evaluation {
    /// Models, in the order they were named.
    pub subjects: Vec<Subject>,
    /// Baselines of the user's own: files like those of `sql/evaluate/baselines`.
    pub baselines: Vec<PathBuf>,
}

/// Asks every model what it has not answered yet and returns how many of all its rows have
/// an `error`.
///
/// # Errors
/// As [`super::run`], and when there are no scenarios.
pub async fn evaluate(
    session: &Session,
    evaluation: &Evaluation,
    options: &Options,
) -> Result<RowErrors> {
    let holder = Holder::this(&session.run, "evaluate");
    let work = async || {
        baselines::make(session, &evaluation.baselines).await?;
        for subject in &evaluation.subjects {
            keyed::fill(session, &subject.step(session)?, options).await?;
        }
        RowErrors::of(session, &["evaluations"]).await
    };
    session.lake.writing(holder, work).await
}

/// Tells what an evaluation would do, and does none of it.
///
/// # Errors
/// Fails when the tables cannot be read.
pub async fn preview(session: &Session, evaluation: &Evaluation, options: &Options) -> Result<()> {
    for subject in &evaluation.subjects {
        let step = subject.step(session)?;
        progress::tell(&step.name, &foresee(session, &step, options).await?);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_subject_is_a_model_and_how_it_is_asked() {
        for (text, means) in [
            ("weak", "weak/decision"),
            ("weak/direct", "weak/direct"),
            ("weak/direct/rotated", "weak/direct/rotated"),
        ] {
            assert_eq!(text.parse::<Subject>().unwrap().to_string(), means);
        }
        for text in [
            "",
            "/direct",
            "weak/direct/twice",
            "weak/direct/rotated/more",
        ] {
            let error = text.parse::<Subject>().unwrap_err().to_string();
            assert!(error.contains("MODEL/METHOD"), "{text}: {error}");
        }
    }
}
