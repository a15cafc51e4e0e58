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
    #[error("{}", storage_message(.0))]
    Storage(#[from] object_store::Error),
    /// Another run writes to the root.
    #[error("{0}")]
    Busy(String),
    /// The budget is spent; what was done is committed.
    #[error("{0}")]
    Budget(String),
    /// Asked to stop; what was done is committed.
    #[error("{0}")]
    Interrupted(String),
}

impl Error {
    /// Ties a system error to the path it happened at.
    pub fn file(path: impl AsRef<std::path::Path>, source: std::io::Error) -> Self {
        Self::File {
            path: path.as_ref().display().to_string(),
            source,
        }
    }

    /// The process exit code.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Usage(_) => 2,
            Self::Budget(_) => 4,
            // EX_TEMPFAIL of sysexits.h: the same command may work later.
            Self::Busy(_) => 75,
            Self::Interrupted(_) => 130,
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

/// What storage said, and what to do where the cause is known.
fn storage_message(error: &object_store::Error) -> String {
    let said = error.to_string();
    let refused = [
        "ExpiredToken",
        "InvalidAccessKeyId",
        "SignatureDoesNotMatch",
        "InvalidToken",
        "AccessDenied",
        "403",
    ];
    let unclean = matches!(
        error,
        object_store::Error::PermissionDenied { .. } | object_store::Error::Unauthenticated { .. }
    );
    if unclean || refused.iter().any(|code| said.contains(code)) {
        return format!(
            "the storage refused the credentials: {said}. Renew them (the AWS_* variables, the \
             profile or the role), then run the same command again; what is committed stays"
        );
    }
    format!("storage: {said}")
}
