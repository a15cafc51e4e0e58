//! What a run is to do.

use std::path::PathBuf;
use std::str::FromStr;

use clap::ValueEnum;

use crate::datasets::Dataset;
use crate::error::Error;

/// The pipeline's steps, in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub enum Step {
    /// What the user remembers and what was shown.
    Scenarios,
    /// Decision processes written by the strong and the weak model.
    Decisions,
    /// The weak model's letter distributions after each decision.
    Scores,
    /// Uncertainty, selection and preference pairs.
    Distill,
}

impl Step {
    /// Its name on the command line.
    pub fn name(self) -> String {
        self.to_possible_value()
            .map_or_else(String::new, |value| value.get_name().to_owned())
    }
}

/// A piece of a run's work.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Work {
    /// One of the pipeline's steps.
    Step(Step),
    /// A step of the user's own: a file of SQL that says what it makes.
    File(PathBuf),
}

impl FromStr for Work {
    type Err = Error;

    /// A step's name, or the path of a file that ends in `.sql`.
    fn from_str(text: &str) -> Result<Self, Error> {
        if text.ends_with(".sql") {
            return Ok(Self::File(text.into()));
        }
        let step = <Step as ValueEnum>::from_str(text, false).map(Self::Step);
        step.map_err(|_| {
            let names = Step::value_variants().iter().map(|step| step.name());
            Error::Usage(format!(
                "steps: '{text}' is none of {}, and no file that ends in .sql",
                names.collect::<Vec<_>>().join(", ")
            ))
        })
    }
}

/// What a run does.
#[derive(Debug, Clone)]
pub struct Plan {
    /// Datasets to build scenarios from.
    pub datasets: Vec<Dataset>,
    /// The work, in its order; tables of steps that are left out are taken as they are.
    pub work: Vec<Work>,
    /// The selection strategy: a file of `sql/select`.
    pub select: String,
}

impl Plan {
    /// The pipeline's steps from `from` to `until`, and no others.
    pub fn steps(from: Step, until: Step) -> Vec<Work> {
        let steps = Step::value_variants().iter().copied();
        let steps = steps.filter(|step| (from..=until).contains(step));
        steps.map(Work::Step).collect()
    }

    /// Whether `step` is part of the work.
    pub fn does(&self, step: Step) -> bool {
        self.work.contains(&Work::Step(step))
    }
}
