//! Errors a user can meet, each with the way to mend it, and their exit codes.

use datafusion::error::DataFusionError;

/// Shorthand for this crate's results.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why a command failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The command line or a parameter asks for something that cannot be.
    #[error("{0}")]
    Usage(String),
    /// The work was understood and failed.
    #[error("{0}")]
    Failed(String),
    /// A query failed.
    #[error("{}", query_message(.0))]
    Query(#[from] DataFusionError),
    /// A file could not be read or written.
    #[error("{path}: {source}")]
    File {
        /// The file or folder.
        path: String,
        /// What the system said.
        source: std::io::Error,
    },
    /// The lake's storage refused.
    #[error("storage: {0}")]
    Storage(#[from] object_store::Error),
}

impl Error {
    /// Ties a system error to the path it happened at.
    pub fn file(path: impl AsRef<std::path::Path>, source: std::io::Error) -> Self {
        Self::File {
            path: path.as_ref().display().to_string(),
            source,
        }
    }

    /// The process exit code: 2 for usage, 1 for failure.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Usage(_) => 2,
            _ => 1,
        }
    }
}

/// DataFusion's message without its backtrace and wrappers, for a person to read.
fn query_message(error: &DataFusionError) -> String {
    match error.find_root() {
        DataFusionError::Execution(message) | DataFusionError::Plan(message) => message.clone(),
        root => root.strip_backtrace(),
    }
}
