//! Tells whoever watches a query how far its models are.

use std::fmt;
use std::sync::Arc;

use super::backend::Usage;

/// One row that a model is done with.
#[derive(Debug, Clone, Copy)]
pub struct Step<'a> {
    /// The model's registered name.
    pub model: &'a str,
    /// The function called.
    pub function: &'a str,
    /// What the row cost; nothing when it failed.
    pub usage: Usage,
    /// Whether the row became an error.
    pub failed: bool,
}

/// Watches model calls. Called from many tasks at once, once a row: be quick.
pub trait Progress: Send + Sync {
    /// A row is done.
    fn advance(&self, step: &Step<'_>);
}

/// Hands a [`Progress`] to the operators of a session, by
/// `SessionConfig::with_extension(Arc::new(Observer(…)))`.
#[derive(Clone)]
pub struct Observer(pub Arc<dyn Progress>);

impl fmt::Debug for Observer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Observer")
    }
}
