//! Why a model could not be opened.

use super::folder::FolderError;
use super::runtime::RuntimeError;

/// What is wrong with a model or with what runs it, and how to mend it.
#[derive(Debug, Clone, thiserror::Error)]
pub enum LoadError {
    /// There is no usable ONNX Runtime.
    #[error(transparent)]
    Runtime(#[from] RuntimeError),
    /// The folder is not a model folder.
    #[error(transparent)]
    Folder(#[from] FolderError),
    /// `tokenizer.json` cannot be used.
    #[error("the model's tokenizer.json cannot be used: {0}; export the model again")]
    Tokenizer(String),
    /// The chat template cannot be used.
    #[error("the model's chat_template.jinja cannot be used: {0}; export the model again")]
    Template(String),
    /// Letter probabilities would not be what scoring takes them for.
    #[error(
        "the tokenizer does not write `{text}` as `Behavior: [` and one more token, so this \
         model cannot be scored; use one whose tokenizer keeps the letter apart"
    )]
    Letters {
        /// The text that was tried.
        text: String,
    },
    /// ONNX Runtime refuses the graph, or it is not a slot graph.
    #[error("the model's slot.onnx cannot be run: {0}; export the model again")]
    Graph(String),
    /// The device that was asked for is not there.
    #[error("{0}")]
    Device(String),
    /// The weights do not fit the memory.
    #[error("{0}")]
    Weights(String),
    /// The longest prompt would not fit the memory.
    #[error(
        "keys and values of a prompt of {context} tokens take {mib} MiB of memory while it is in \
         work, and {free_mib} MiB are free: free some, or open the model with a shorter context, \
         OPTIONS ('max_context' '{fits}')"
    )]
    Memory {
        /// The longest context in tokens.
        context: usize,
        /// What it takes.
        mib: usize,
        /// What there is.
        free_mib: usize,
        /// The longest context that would fit.
        fits: usize,
    },
    /// The folder is no encoder's, or its graph keeps no encoder's contract.
    #[error("{0}")]
    Encoder(String),
    /// A served model cannot be asked as the options say.
    #[error("{0}")]
    Served(String),
    /// The engine's thread could not be started.
    #[error("the model engine's thread did not start: {0}")]
    Thread(String),
}
