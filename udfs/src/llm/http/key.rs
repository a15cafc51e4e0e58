//! The server's key. It comes from the environment, and no output shows it.

use reqwest::header::HeaderValue;

use crate::llm::load::LoadError;

/// A key, and the variable of the environment that holds it.
#[derive(Debug, Clone)]
pub struct Key {
    variable: String,
    /// Marked as sensitive, so that `Debug` does not show it.
    header: HeaderValue,
}

impl Key {
    /// The key in variable `variable`.
    ///
    /// # Errors
    /// When there is no such variable, or what it holds cannot be a key.
    pub fn from_env(variable: &str) -> Result<Self, LoadError> {
        let wrong = |what: &str| {
            LoadError::Served(format!(
                "the environment variable {variable}, which key_env names, {what}"
            ))
        };
        let value = std::env::var(variable).map_err(|_| wrong("is not set to a text"))?;
        match value.trim() {
            "" => Err(wrong("is empty")),
            value => Self::new(variable, value).ok_or_else(|| wrong("holds no key")),
        }
    }

    pub(super) fn new(variable: &str, value: &str) -> Option<Self> {
        let mut header = HeaderValue::from_str(&format!("Bearer {value}")).ok()?;
        header.set_sensitive(true);
        Some(Self {
            variable: variable.to_owned(),
            header,
        })
    }

    /// The variable that holds it.
    pub fn variable(&self) -> &str {
        &self.variable
    }

    /// What the `Authorization` header says.
    pub(super) fn header(&self) -> HeaderValue {
        self.header.clone()
    }

    /// `text`, a server's, without the key.
    pub(super) fn remove_from(&self, text: &str) -> String {
        let header = self.header.to_str().unwrap_or_default();
        match header.strip_prefix("Bearer ") {
            Some(key) if !key.is_empty() => text.replace(key, "[key]"),
            _ => text.to_owned(),
        }
    }
}
