//! A model folder: the onnxruntime-genai layout with the slot graph beside it.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde::de::DeserializeOwned;
use sha2::{Digest, Sha256};

/// The slot graph, whose contract [`super::graph`] states.
const GRAPH: &str = "slot.onnx";
/// The weights, where the graph does not hold them itself.
const WEIGHTS: &str = "slot.onnx.data";
const CONFIG: &str = "genai_config.json";
/// The tokenizer, as the `tokenizers` library writes it.
pub const TOKENIZER: &str = "tokenizer.json";
const TOKENIZER_CONFIG: &str = "tokenizer_config.json";
const TEMPLATE: &str = "chat_template.jinja";
/// What the model was made of. It takes no part in answers.
const PROVENANCE: &str = "provenance.json";

/// Why a folder is not a model.
#[derive(Debug, Clone, thiserror::Error)]
pub enum FolderError {
    /// A file is not there.
    #[error(
        "`{folder}` is not a model folder: it has no `{file}`; \
         `python -m usermirror_training export` (docs/training.md) writes a complete one"
    )]
    Missing {
        /// The folder.
        folder: PathBuf,
        /// The file it lacks.
        file: &'static str,
    },
    /// A file cannot be read or understood.
    #[error(
        "`{path}` cannot be read: {reason}; `python -m usermirror_training export` (docs/training.md) writes it"
    )]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
}

/// What a folder says about its model.
#[derive(Debug, Clone, PartialEq)]
pub struct Folder {
    /// The slot graph's file.
    pub graph: PathBuf,
    /// The text of `tokenizer.json`.
    pub tokenizer: String,
    /// The text of the chat template.
    pub template: String,
    /// The text of the token that begins a sequence; empty where there is none.
    pub bos_token: String,
    /// The text of the token that ends a turn; empty where there is none.
    pub eos_token: String,
    /// Token ids that end a turn.
    pub eos_ids: Vec<u32>,
    /// Architecture family (`llama`, `qwen2`, …).
    pub family: String,
    /// The longest context it was made for, in tokens.
    pub context_length: usize,
    /// Vocabulary size, in tokens.
    pub vocabulary: usize,
    /// The shape of its cached keys and values.
    pub cache: CacheShape,
    /// Hex SHA-256 over every file that takes part in an answer.
    pub fingerprint: String,
    /// The text of its provenance, where it has one.
    pub provenance: Option<String>,
}

/// The shape of one token's keys and values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CacheShape {
    /// Transformer layers; each caches one key and one value tensor.
    pub layers: usize,
    /// Key/value heads of a layer.
    pub heads: usize,
    /// Numbers in one head.
    pub width: usize,
}

impl CacheShape {
    /// Numbers in one token's keys and values.
    pub fn token_numbers(&self) -> usize {
        2 * self.layers * self.heads * self.width
    }
}

impl Folder {
    /// Reads the folder at `path`; the weights are only hashed.
    ///
    /// # Errors
    /// When a file is missing, unreadable or not of its format.
    pub fn read(path: &Path) -> Result<Self, FolderError> {
        for file in [GRAPH, CONFIG, TOKENIZER, TOKENIZER_CONFIG, TEMPLATE] {
            if !path.join(file).is_file() {
                return Err(FolderError::Missing {
                    folder: path.to_owned(),
                    file,
                });
            }
        }
        let GenaiConfig { model } = parse(&path.join(CONFIG))?;
        let special: TokenizerConfig = parse(&path.join(TOKENIZER_CONFIG))?;
        let provenance = path.join(PROVENANCE);
        Ok(Self {
            graph: path.join(GRAPH),
            tokenizer: text(&path.join(TOKENIZER))?,
            template: text(&path.join(TEMPLATE))?,
            bos_token: special
                .bos_token
                .map_or_else(String::new, TokenText::into_text),
            eos_token: special
                .eos_token
                .map_or_else(String::new, TokenText::into_text),
            eos_ids: model.eos_token_id.into_ids(),
            family: model.family,
            context_length: model.context_length,
            vocabulary: model.vocab_size,
            cache: CacheShape {
                layers: model.decoder.num_hidden_layers,
                heads: model.decoder.num_key_value_heads,
                width: model.decoder.head_size,
            },
            fingerprint: fingerprint(path)?,
            provenance: match provenance.is_file() {
                true => Some(text(&provenance)?),
                false => None,
            },
        })
    }
}

#[derive(Deserialize)]
struct GenaiConfig {
    model: Model,
}

#[derive(Deserialize)]
struct Model {
    #[serde(rename = "type")]
    family: String,
    context_length: usize,
    vocab_size: usize,
    eos_token_id: OneOrMany,
    decoder: Decoder,
}

#[derive(Deserialize)]
struct Decoder {
    num_hidden_layers: usize,
    num_key_value_heads: usize,
    head_size: usize,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum OneOrMany {
    One(u32),
    Many(Vec<u32>),
}

impl OneOrMany {
    fn into_ids(self) -> Vec<u32> {
        match self {
            Self::One(id) => vec![id],
            Self::Many(ids) => ids,
        }
    }
}

#[derive(Deserialize)]
struct TokenizerConfig {
    bos_token: Option<TokenText>,
    eos_token: Option<TokenText>,
}

/// A special token: its bare text, or an object that holds it.
#[derive(Deserialize)]
#[serde(untagged)]
enum TokenText {
    Bare(String),
    Described { content: String },
}

impl TokenText {
    fn into_text(self) -> String {
        match self {
            Self::Bare(text) | Self::Described { content: text } => text,
        }
    }
}

fn parse<T: DeserializeOwned>(path: &Path) -> Result<T, FolderError> {
    serde_json::from_str(&text(path)?).map_err(|error| unreadable(path, error))
}

fn text(path: &Path) -> Result<String, FolderError> {
    std::fs::read_to_string(path).map_err(|error| unreadable(path, error))
}

fn unreadable(path: &Path, reason: impl ToString) -> FolderError {
    FolderError::Unreadable {
        path: path.to_owned(),
        reason: reason.to_string(),
    }
}

/// Each file goes in with its name and size before its bytes, so that no two
/// folders can spell the same stream.
fn fingerprint(folder: &Path) -> Result<String, FolderError> {
    let mut hasher = Sha256::new();
    for name in [
        CONFIG,
        TOKENIZER,
        TOKENIZER_CONFIG,
        TEMPLATE,
        GRAPH,
        WEIGHTS,
    ] {
        let path = folder.join(name);
        if path.is_file() {
            hash_file(name, &path, &mut hasher).map_err(|error| unreadable(&path, error))?;
        }
    }
    let digest = hasher.finalize();
    Ok(digest.iter().map(|byte| format!("{byte:02x}")).collect())
}

/// Adds a file to a fingerprint.
pub(super) fn hash_file(name: &str, path: &Path, hasher: &mut Sha256) -> std::io::Result<()> {
    let mut file = File::open(path)?;
    hasher.update(format!("{name}\0{}\0", file.metadata()?.len()));
    let mut buffer = vec![0; 1 << 20];
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(()),
            read => hasher.update(&buffer[..read]),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write_folder(path: &Path) {
        let config = r#"{"model": {"type": "llama", "context_length": 2048, "vocab_size": 700,
            "eos_token_id": [2, 5], "decoder": {"num_hidden_layers": 4,
            "num_key_value_heads": 6, "head_size": 32, "filename": "model.onnx"}}}"#;
        let special = r#"{"bos_token": null, "eos_token": {"content": "<|im_end|>"}}"#;
        for (name, content) in [
            (CONFIG, config),
            (TOKENIZER, "{}"),
            (TOKENIZER_CONFIG, special),
            (TEMPLATE, "{{ messages }}"),
            (GRAPH, "graph"),
        ] {
            std::fs::write(path.join(name), content).unwrap();
        }
    }

    #[test]
    fn a_complete_folder_is_read() {
        let folder = tempfile::tempdir().unwrap();
        write_folder(folder.path());
        let read = Folder::read(folder.path()).unwrap();
        assert_eq!(read.eos_ids, [2, 5]);
        assert_eq!(read.bos_token, "");
        assert_eq!(read.eos_token, "<|im_end|>");
        assert_eq!(read.cache.token_numbers(), 2 * 4 * 6 * 32);
        assert_eq!(read.provenance, None);
    }

    #[test]
    fn a_provenance_is_told_and_takes_no_part_in_the_fingerprint() {
        let folder = tempfile::tempdir().unwrap();
        write_folder(folder.path());
        let before = Folder::read(folder.path()).unwrap();
        std::fs::write(folder.path().join(PROVENANCE), "{}").unwrap();
        let after = Folder::read(folder.path()).unwrap();
        assert_eq!(after.provenance.as_deref(), Some("{}"));
        assert_eq!(after.fingerprint, before.fingerprint);
    }

    #[test]
    fn a_missing_file_is_named_with_what_writes_it() {
        let folder = tempfile::tempdir().unwrap();
        write_folder(folder.path());
        std::fs::remove_file(folder.path().join(GRAPH)).unwrap();
        let error = Folder::read(folder.path()).unwrap_err().to_string();
        assert!(error.contains("slot.onnx"), "{error}");
        assert!(error.contains("usermirror_training export"), "{error}");
    }

    #[test]
    fn the_fingerprint_follows_the_weights() {
        let folder = tempfile::tempdir().unwrap();
        write_folder(folder.path());
        let before = Folder::read(folder.path()).unwrap().fingerprint;
        std::fs::write(folder.path().join(WEIGHTS), "weights").unwrap();
        let after = Folder::read(folder.path()).unwrap().fingerprint;
        assert_eq!(before.len(), 64);
        assert_ne!(before, after);
    }
}
