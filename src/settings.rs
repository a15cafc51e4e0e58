//! Settings: every value a run depends on, and where it came from.
//!
//! In rising order: the default, the job file (`usermirror.toml`), the environment
//! (`USERMIRROR_` and the name in capitals), the command line. Credentials are no settings:
//! they are read where they are used, from the environment, and never kept.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use crate::error::{Error, Result};
use crate::parameters::Parameters;
use crate::run::Interval;
use crate::run::budget::{Budget, Price};

/// The job file that is read when none is named.
pub const JOB: &str = "usermirror.toml";

/// Settings that are not parameters, models or sampling, with their defaults.
const DEFAULTS: [(&str, &str); 15] = [
    ("budget.hours", ""),
    ("budget.tokens", ""),
    ("budget.usd", ""),
    ("commit.minutes", "5"),
    ("commit.units", "256"),
    ("datasets", "movielens"),
    ("datasets_dir", ""),
    ("device", "auto"),
    ("evaluate", "strong,weak"),
    ("home", ""),
    ("python", ""),
    ("root", "./lake"),
    ("runtime", ""),
    ("select", "uncertainty"),
    ("steps", "scenarios,decisions,scores,distill"),
];

/// What can be said of a model: `models.NAME.…`.
const MODEL: [&str; 20] = [
    "location",
    "device",
    "threads",
    "replicas",
    "slots",
    "max_context",
    "cache_mib",
    "prompt_cache_mib",
    "model",
    "key_env",
    "concurrency",
    "requests_per_minute",
    "timeout_seconds",
    "retries",
    "draws_per_request",
    "continue",
    "choose_draws",
    "body",
    "price_prompt",
    "price_generated",
];

/// How decisions are drawn: `sampling.…`, in SQL `model.…`.
const SAMPLING: [&str; 5] = ["temperature", "top_p", "max_tokens", "stop", "grammar"];

/// Where a value came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// Built in.
    Default,
    /// The job file.
    File(PathBuf),
    /// A variable of the environment.
    Environment(String),
    /// The command line.
    Flag,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File(path) => write!(f, "{}", path.display()),
            Self::Environment(variable) => write!(f, "${variable}"),
            Self::Flag => f.write_str("command line"),
        }
    }
}

/// Every setting by its name.
#[derive(Debug, Clone, Default)]
pub struct Settings(BTreeMap<String, (String, Origin)>);

impl Settings {
    /// Settles every value: `flags` over the environment over the job file over defaults.
    /// Without `job`, [`JOB`] is read if it is there.
    ///
    /// # Errors
    /// Fails when the job file is missing, not TOML, or names what there is not.
    pub fn settle(job: Option<&Path>, flags: Vec<(String, String)>) -> Result<Self> {
        let mut settings = Self::default();
        for (name, value) in DEFAULTS {
            settings.set(name, value, Origin::Default);
        }
        for model in ["strong", "weak"] {
            for about in MODEL {
                settings.set(&format!("models.{model}.{about}"), "", Origin::Default);
            }
            let location = format!("models/{model}");
            settings.set(
                &format!("models.{model}.location"),
                &location,
                Origin::Default,
            );
        }
        settings.set("models.encoder.location", "", Origin::Default);
        for name in SAMPLING {
            settings.set(&format!("sampling.{name}"), "", Origin::Default);
        }
        for (name, value) in Parameters::default().values() {
            settings.set(&format!("parameters.{name}"), &value, Origin::Default);
        }
        match job {
            Some(job) => settings.read(job)?,
            None if Path::new(JOB).exists() => settings.read(Path::new(JOB))?,
            None => {}
        }
        let names: Vec<_> = settings.0.keys().cloned().collect();
        for name in names {
            let variable = format!("USERMIRROR_{}", name.replace('.', "_").to_ascii_uppercase());
            if let Ok(value) = std::env::var(&variable) {
                settings.set(&name, &value, Origin::Environment(variable));
            }
        }
        for (name, value) in flags {
            settings.set(&name, &value, Origin::Flag);
        }
        Ok(settings)
    }

    /// Every setting: name, value, origin.
    pub fn all(&self) -> impl Iterator<Item = (&str, &str, &Origin)> {
        let all = self.0.iter();
        all.map(|(name, (value, origin))| (name.as_str(), value.as_str(), origin))
    }

    /// The value of `name`; the empty text means none.
    pub fn get(&self, name: &str) -> Option<&str> {
        let (value, _) = self.0.get(name)?;
        (!value.is_empty()).then_some(value)
    }

    /// The value of `name` as a path.
    pub fn path(&self, name: &str) -> Option<PathBuf> {
        self.get(name).map(PathBuf::from)
    }

    /// The values of list `name`.
    pub fn list(&self, name: &str) -> Vec<String> {
        let items = self.get(name).unwrap_or_default().split(',');
        let items = items.map(str::trim).filter(|item| !item.is_empty());
        items.map(str::to_owned).collect()
    }

    /// The settings below `prefix.`, without it.
    pub fn below(&self, prefix: &str) -> Vec<(&str, &str)> {
        let all = self.all();
        let below = all.filter_map(|(name, value, _)| {
            let name = name.strip_prefix(prefix)?.strip_prefix('.')?;
            Some((name, value))
        });
        below.filter(|(_, value)| !value.is_empty()).collect()
    }

    /// The most work between two commits.
    ///
    /// # Errors
    /// Fails when a bound is no number above 0.
    pub fn interval(&self) -> Result<Interval> {
        let minutes: f64 = self.number("commit.minutes")?.unwrap_or(5.0);
        let units: usize = self.number("commit.units")?.unwrap_or(256);
        if units == 0 || !(minutes > 0.0 && minutes.is_finite()) {
            return Err(Error::Usage(
                "commit.units and commit.minutes must be above 0".to_owned(),
            ));
        }
        Ok(Interval {
            units,
            time: Duration::from_secs_f64(minutes * 60.0),
        })
    }

    /// The most that may be spent.
    ///
    /// # Errors
    /// Fails when a bound is no number.
    pub fn budget(&self) -> Result<Budget> {
        Ok(Budget {
            tokens: self.number("budget.tokens")?,
            hours: self.number("budget.hours")?,
            usd: self.number("budget.usd")?,
        })
    }

    /// The prices of the models that have any, by name.
    ///
    /// # Errors
    /// Fails when a price is no number.
    pub fn prices(&self) -> Result<BTreeMap<String, Price>> {
        let mut prices = BTreeMap::new();
        for model in self.models() {
            let price = |kind: &str| self.number(&format!("models.{model}.{kind}"));
            let (prompt, generated) = (price("price_prompt")?, price("price_generated")?);
            if prompt.is_some() || generated.is_some() {
                let price = Price {
                    prompt: prompt.unwrap_or_default(),
                    generated: generated.unwrap_or_default(),
                };
                prices.insert(model, price);
            }
        }
        Ok(prices)
    }

    /// The names of the models.
    pub fn models(&self) -> Vec<String> {
        let names = self.below("models").into_iter();
        let names = names.filter_map(|(name, _)| name.strip_suffix(".location"));
        names.map(str::to_owned).collect()
    }

    fn number<T: FromStr>(&self, name: &str) -> Result<Option<T>> {
        let Some(value) = self.get(name) else {
            return Ok(None);
        };
        let number = value.replace('_', "").parse();
        let (_, origin) = &self.0[name];
        number
            .map(Some)
            .map_err(|_| Error::Usage(format!("{name} = {value} ({origin}): not a number")))
    }

    fn set(&mut self, name: &str, value: &str, origin: Origin) {
        self.0.insert(name.to_owned(), (value.to_owned(), origin));
    }

    /// Takes the values of a job file.
    fn read(&mut self, job: &Path) -> Result<()> {
        let wrong = |what: String| Error::Usage(format!("{}: {what}", job.display()));
        let text = std::fs::read_to_string(job).map_err(|e| wrong(e.to_string()))?;
        let table: toml::Table = toml::from_str(&text).map_err(|e| wrong(e.to_string()))?;
        let mut found = vec![];
        flatten("", &toml::Value::Table(table), &mut found);
        let folder = job.parent().unwrap_or(Path::new(""));
        for (name, value) in found {
            if !self.is_known(&name) {
                return Err(wrong(format!(
                    "there is no setting '{name}'; `usermirror config show` lists them all"
                )));
            }
            let value = beside(folder, &name, value);
            self.set(&name, &value, Origin::File(job.to_owned()));
        }
        Ok(())
    }

    fn is_known(&self, name: &str) -> bool {
        let parts: Vec<_> = name.split('.').collect();
        match parts.as_slice() {
            ["models", _, key] => MODEL.contains(key),
            _ => self.0.contains_key(name),
        }
    }
}

/// The leaves of `value` by their dotted names; lists become texts with commas.
fn flatten(name: &str, value: &toml::Value, found: &mut Vec<(String, String)>) {
    match value {
        toml::Value::Table(table) => {
            for (key, value) in table {
                let name = match name {
                    "" => key.clone(),
                    name => format!("{name}.{key}"),
                };
                flatten(&name, value, found);
            }
        }
        toml::Value::Array(items) => {
            let mut inside = vec![];
            items
                .iter()
                .for_each(|item| flatten(name, item, &mut inside));
            let items: Vec<_> = inside.into_iter().map(|(_, item)| item).collect();
            found.push((name.to_owned(), items.join(",")));
        }
        toml::Value::String(text) => found.push((name.to_owned(), text.clone())),
        toml::Value::Integer(number) => found.push((name.to_owned(), number.to_string())),
        toml::Value::Float(number) => found.push((name.to_owned(), number.to_string())),
        toml::Value::Boolean(truth) => found.push((name.to_owned(), truth.to_string())),
        toml::Value::Datetime(time) => found.push((name.to_owned(), time.to_string())),
    }
}

/// The value of setting `name` in a job file of `folder`: paths are relative to it.
fn beside(folder: &Path, name: &str, value: String) -> String {
    let beside = |path: &str| folder.join(path).display().to_string();
    let is_location = name.starts_with("models.") && name.ends_with(".location");
    match name {
        "steps" => {
            let steps = value.split(',').map(|step| match step.ends_with(".sql") {
                true => beside(step),
                false => step.to_owned(),
            });
            steps.collect::<Vec<_>>().join(",")
        }
        "root" | "home" | "datasets_dir" | "runtime" if !value.contains("://") => beside(&value),
        _ if is_location && !value.contains("://") => beside(&value),
        _ => value,
    }
}
