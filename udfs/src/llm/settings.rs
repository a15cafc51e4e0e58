//! How a session draws decisions: `SET model.seed = 7`.

use std::any::Any;
use std::fmt::Display;
use std::str::FromStr;

use datafusion::common::config::{ConfigEntry, ConfigExtension, ExtensionOptions};
use datafusion::error::{DataFusionError, Result};

use super::backend::{Form, Sampling};

/// The session's `model.*` settings.
#[derive(Debug, Clone, Default)]
pub struct ModelSettings {
    /// How `decide` draws.
    pub sampling: Sampling,
}

impl ConfigExtension for ModelSettings {
    const PREFIX: &'static str = "model";
}

impl ExtensionOptions for ModelSettings {
    fn as_any(&self) -> &dyn Any {
        self
    }

    fn as_any_mut(&mut self) -> &mut dyn Any {
        self
    }

    fn cloned(&self) -> Box<dyn ExtensionOptions> {
        Box::new(self.clone())
    }

    fn set(&mut self, key: &str, value: &str) -> Result<()> {
        let sampling = &mut self.sampling;
        match key {
            "temperature" => {
                sampling.temperature = parse(key, value, "a number above 0", |t: &f64| {
                    *t > 0.0 && t.is_finite()
                })?;
            }
            "top_p" => {
                sampling.top_p =
                    parse(key, value, "a number in (0, 1]", |p| *p > 0.0 && *p <= 1.0)?;
            }
            "max_tokens" => {
                sampling.max_tokens = parse(key, value, "an integer of at least 1", |n| *n > 0)?;
            }
            "stop" => {
                sampling.stop = serde_json::from_str(value)
                    .ok()
                    .filter(|stop: &Vec<String>| stop.iter().all(|text| !text.is_empty()))
                    .ok_or_else(|| {
                        wrong(key, value, "a JSON list of texts, such as [\"\\n\\n\"]")
                    })?;
            }
            "grammar" => {
                sampling.grammar = match value {
                    "" => None,
                    "ekb" => Some(Form::Ekb),
                    _ => return Err(wrong(key, value, "ekb, or empty for none")),
                };
            }
            "seed" => sampling.seed = parse(key, value, "an integer of at least 0", |_| true)?,
            unknown => {
                return Err(DataFusionError::Configuration(format!(
                    "model.{unknown} is no setting; the settings are model.temperature, \
                     model.top_p, model.max_tokens, model.stop, model.grammar and model.seed"
                )));
            }
        }
        Ok(())
    }

    /// Entries carry the prefix: they are what `SHOW ALL` prints, and what is
    /// replayed into the sessions of other machines.
    fn entries(&self) -> Vec<ConfigEntry> {
        let sampling = &self.sampling;
        vec![
            entry(
                "temperature",
                &sampling.temperature,
                "Softmax temperature of decide, above 0",
            ),
            entry(
                "top_p",
                &sampling.top_p,
                "Nucleus mass of decide, in (0, 1]",
            ),
            entry(
                "max_tokens",
                &sampling.max_tokens,
                "The most new tokens of one decision",
            ),
            entry(
                "stop",
                &serde_json::json!(sampling.stop),
                "Texts that end a decision and are no part of it, a JSON list",
            ),
            entry(
                "grammar",
                &sampling
                    .grammar
                    .map(|form| form.to_string())
                    .unwrap_or_default(),
                "The form that decisions are held to: ekb, or empty for none",
            ),
            entry("seed", &sampling.seed, "The seed of every draw of decide"),
        ]
    }
}

fn entry(key: &str, value: &dyn Display, description: &'static str) -> ConfigEntry {
    ConfigEntry {
        key: format!("{}.{key}", ModelSettings::PREFIX),
        value: Some(value.to_string()),
        description,
    }
}

fn parse<T: FromStr>(
    key: &str,
    value: &str,
    must_be: &str,
    holds: impl Fn(&T) -> bool,
) -> Result<T> {
    let parsed = value.parse().ok().filter(holds);
    parsed.ok_or_else(|| wrong(key, value, must_be))
}

fn wrong(key: &str, value: &str, must_be: &str) -> DataFusionError {
    DataFusionError::Configuration(format!("model.{key} must be {must_be}, not '{value}'"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_replay_into_equal_settings() {
        let mut settings = ModelSettings::default();
        for (key, value) in [
            ("temperature", "0.7"),
            ("top_p", "1"),
            ("max_tokens", "64"),
            ("stop", r#"["\n\n", "it's"]"#),
            ("grammar", "ekb"),
            ("seed", "7"),
        ] {
            settings.set(key, value).unwrap();
        }
        let mut replayed = ModelSettings::default();
        for entry in settings.entries() {
            let key = entry.key.strip_prefix("model.").unwrap();
            replayed.set(key, &entry.value.unwrap()).unwrap();
        }
        assert_eq!(replayed.sampling, settings.sampling);
        assert_eq!(settings.sampling.seed, 7);
    }

    #[test]
    fn values_out_of_range_are_refused_with_the_range() {
        let mut settings = ModelSettings::default();
        for (key, value) in [
            ("temperature", "0"),
            ("temperature", "NaN"),
            ("top_p", "1.1"),
            ("max_tokens", "0"),
            ("stop", "User:"),
            ("stop", r#"[""]"#),
            ("grammar", "json"),
            ("seed", "-1"),
        ] {
            let error = settings.set(key, value).unwrap_err().to_string();
            assert!(error.contains("must be"), "{error}");
        }
        let error = settings.set("sed", "7").unwrap_err().to_string();
        assert!(error.contains("model.seed"), "{error}");
        assert_eq!(settings.sampling, Sampling::default());
    }
}
