//! `usermirror evaluate`

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use clap::Args;

use super::Global;
use super::options::{open_model, session};
use super::run::judge;
use crate::error::{Error, Result};
use crate::report;
use crate::run::Options;
use crate::run::budget::Budget;
use crate::run::evaluate::{self, Evaluation, METHOD, Subject};
use crate::session::Session;
use crate::settings::Settings;
use crate::stop::Stop;

/// Arguments of `evaluate`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  usermirror evaluate --model models/tuned --model models/weak
  usermirror evaluate --model tuned=exports/3b-dpo --method decision --method direct
  usermirror evaluate --model models/tuned --rotate      # position bias
  usermirror evaluate job.toml                           # its models, under `evaluate`
  usermirror sql -c \"SELECT model, method, avg(CAST(hit AS INT)) FROM evaluations GROUP BY ALL\"

Every answer is a row of the table `evaluations`, and stays: a second run asks only what is new.
Beside the models stand baselines that need none: random, position, popularity and collaborative.
Methods are files of sql/evaluate/methods, the tables that are printed of sql/evaluate/report.")]
pub struct Arguments {
    /// The job file, as --job
    job: Option<PathBuf>,
    /// A model folder or URL, with a name of its own, or a model of the job file; may be
    /// repeated [default: the job's `evaluate`, else strong and weak]
    #[arg(long = "model", value_name = "[NAME=]DIR|NAME")]
    models: Vec<String>,
    /// How models are asked: decision, direct, memory, pointwise; may be repeated [default: decision]
    #[arg(long = "method", value_name = "NAME")]
    methods: Vec<String>,
    /// The same as --method direct: letters without a decision
    #[arg(long, conflicts_with = "methods")]
    direct: bool,
    /// Show each scenario in every rotation of its options
    #[arg(long)]
    rotate: bool,
    /// Answers per scenario [default: 5]
    #[arg(long, value_name = "N")]
    samples: Option<u64>,
    /// What others are compared with: MODEL/METHOD, or as random/baseline [default: the first model]
    #[arg(long, value_name = "NAME")]
    against: Option<String>,
    /// A baseline of your own, a file of SQL like those of sql/evaluate/baselines; may be repeated
    #[arg(long = "baseline", value_name = "FILE")]
    baselines: Vec<PathBuf>,
    /// Where models run: cpu, cuda:N, cuda (on every GPU), or auto (on GPUs if there are any)
    /// [default: auto]
    #[arg(long)]
    device: Option<String>,
    /// The most to spend: tokens=N, hours=N, usd=N, with commas between
    #[arg(long, value_name = "BOUNDS")]
    budget: Option<Budget>,
    /// Do again what left an error
    #[arg(long)]
    retry: bool,
    /// Tell what would be asked and what it would cost, and do nothing
    #[arg(long)]
    dry_run: bool,
}

impl Arguments {
    pub(super) async fn execute(self, global: &Global, stop: Stop) -> Result<u8> {
        let settings = self.settings(global)?;
        let session = session(&settings).await?.stopped_by(stop);
        let evaluation = Evaluation {
            subjects: self.subjects(&settings)?,
            baselines: self.baselines.clone(),
        };
        let options = Options {
            interval: settings.interval()?,
            budget: self.budget.clone().map_or_else(|| settings.budget(), Ok)?,
            prices: settings.prices()?,
            retry: self.retry,
            ..Options::default()
        };
        let models = evaluation.subjects.iter().map(|subject| &subject.model);
        for model in models.collect::<BTreeSet<_>>() {
            open_model(&session, &settings, model).await?;
        }
        if self.dry_run {
            evaluate::preview(&session, &evaluation, &options).await?;
            return Ok(0);
        }
        let found = evaluate::evaluate(&session, &evaluation, &options).await?;
        self.report(&session, &evaluation).await?;
        Ok(judge(&session, found, "evaluations"))
    }

    /// The settings, in which `--model NAME=DIR` is a model like those of a job file.
    fn settings(&self, global: &Global) -> Result<Settings> {
        let mut flags = vec![];
        for model in &self.models {
            if let (name, Some(location)) = named(model)? {
                flags.push((format!("models.{name}.location"), location.to_owned()));
            }
        }
        let samples = self.samples.map(|samples| samples.to_string());
        flags.extend(samples.map(|samples| ("parameters.samples".to_owned(), samples)));
        flags.extend(
            self.device
                .clone()
                .map(|device| ("device".to_owned(), device)),
        );
        global.settings(self.job.as_deref(), flags)
    }

    /// Each model with each method; where neither is named, what the job lists.
    fn subjects(&self, settings: &Settings) -> Result<Vec<Subject>> {
        let listed = settings.list("evaluate");
        let listed = listed.iter().map(|subject| subject.parse());
        let listed = listed.collect::<Result<Vec<Subject>>>()?;
        let methods = match (self.direct, self.methods.is_empty()) {
            (true, _) => vec!["direct".to_owned()],
            (false, true) if self.models.is_empty() && !self.rotate => return Ok(listed),
            (false, true) => vec![METHOD.to_owned()],
            (false, false) => self.methods.clone(),
        };
        let mut models = vec![];
        for model in &self.models {
            let (name, _) = named(model)?;
            if models.contains(&name) {
                return Err(Error::Usage(format!(
                    "two models are called {name}: give one another name, --model NAME=DIR"
                )));
            }
            models.push(name);
        }
        if models.is_empty() {
            for Subject { model, .. } in listed {
                if !models.contains(&model) {
                    models.push(model);
                }
            }
        }
        let subjects = methods.iter().flat_map(|method| {
            models.iter().map(|model| Subject {
                model: model.clone(),
                method: method.clone(),
                rotated: self.rotate,
            })
        });
        Ok(subjects.collect())
    }

    /// Prints what the tables hold now, of this evaluation and of earlier ones.
    async fn report(&self, session: &Session, evaluation: &Evaluation) -> Result<()> {
        let first = evaluation.subjects.first().map(ToString::to_string);
        let against = match self.against.clone() {
            Some(name) if !name.contains('/') => Some(format!("{name}/{METHOD}")),
            Some(name) => Some(name),
            None => first,
        };
        session
            .parameters
            .set("against", &against.unwrap_or_default())?;
        let session = session.sister().await?;
        for script in session.scripts.folder("sql/evaluate/report")? {
            report::print_one(&session, &script).await?;
        }
        Ok(())
    }
}

/// The name of a model on the command line, and its location unless the settings know it.
fn named(model: &str) -> Result<(String, Option<&str>)> {
    if let Some((name, location)) = model.split_once('=') {
        return Ok((name.to_owned(), Some(location)));
    }
    if !model.contains('/') && !Path::new(model).is_dir() {
        return Ok((model.to_owned(), None));
    }
    let name = Path::new(model).file_name().and_then(|name| name.to_str());
    match name {
        Some(name) => Ok((name.to_owned(), Some(model))),
        None => Err(Error::Usage(format!(
            "--model {model}: give it a name, NAME={model}"
        ))),
    }
}
