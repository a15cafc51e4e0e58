//! An encoder's folder, as sentence encoders are published: the files of Hugging Face and an
//! ONNX graph beside them.
//!
//! | file | says |
//! | --- | --- |
//! | `model.onnx` or `onnx/model.onnx` | the graph, perhaps with its weights in a file beside it |
//! | `tokenizer.json` | the tokenizer |
//! | `config.json` | family, vocabulary, positions |
//! | `tokenizer_config.json`, `sentence_bert_config.json` | the longest text, where they say it |
//! | `1_Pooling/config.json` | how states become a vector; their mean where it is missing |
//! | `modules.json` | what follows the transformer |

use std::path::{Path, PathBuf};

use memchr::memmem;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use sha2::{Digest, Sha256};

use crate::llm::folder::hash_file;
use crate::llm::load::LoadError;

const GRAPHS: [&str; 2] = ["model.onnx", "onnx/model.onnx"];
const TOKENIZER: &str = "tokenizer.json";
const CONFIG: &str = "config.json";
const TOKENIZER_CONFIG: &str = "tokenizer_config.json";
const SENTENCES: &str = "sentence_bert_config.json";
const POOLING: &str = "1_Pooling/config.json";
const MODULES: &str = "modules.json";
const PROVENANCE: &str = "provenance.json";
/// What only a folder of a model that writes has.
const DECODER: &str = "genai_config.json";

/// Families whose positions are counted from after the padding token's number.
const SHIFTED: [&str; 5] = ["camembert", "mpnet", "roberta", "xlm-roberta", "xmod"];
/// The longest text where no file says it.
const USUAL_TOKENS: usize = 512;
/// A maximum from here on stands for none.
const NO_MAXIMUM: f64 = 1e9;
/// Begins the names of operators that scale numbers by what else is in the batch.
const BATCH_SCALED: &[u8] = b"DynamicQuantize";

/// How the states of a text's tokens become its vector.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pooling {
    /// Their mean.
    Mean,
    /// The state of the first token.
    First,
}

/// What a folder says about its encoder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Folder {
    /// The graph's file.
    pub graph: PathBuf,
    /// The text of `tokenizer.json`.
    pub tokenizer: String,
    /// Architecture family (`bert`, `mpnet`, …).
    pub family: String,
    /// The most tokens of a text, its marks included.
    pub max_tokens: usize,
    /// Vocabulary size, in tokens.
    pub vocabulary: usize,
    /// How states become a vector.
    pub pooling: Pooling,
    /// Whether a text must go through the graph alone, because the graph scales its numbers
    /// by what else is in the batch (dynamically quantised ones do).
    pub alone: bool,
    /// How numbers are stored, `int8` or `fp32`.
    pub precision: String,
    /// Hex SHA-256 over every file that takes part in a vector.
    pub fingerprint: String,
    /// The text of its provenance, where it has one.
    pub provenance: Option<String>,
}

/// Whether `folder` is an encoder's rather than that of a model that writes.
pub fn is_encoder(folder: &Path) -> bool {
    !folder.join(DECODER).is_file() && graph(folder).is_some()
}

fn graph(folder: &Path) -> Option<PathBuf> {
    let mut places = GRAPHS.iter().map(|name| folder.join(name));
    places.find(|path| path.is_file())
}

impl Folder {
    /// Reads the folder at `path`, of an encoder whose texts are to have at most `limit`
    /// tokens; the weights are only hashed.
    ///
    /// # Errors
    /// When a file is missing or not of its format, or vectors are made in a way that is not
    /// known here.
    pub fn read(path: &Path, limit: Option<usize>) -> Result<Self, LoadError> {
        let graph = graph(path).ok_or_else(|| missing(path, GRAPHS[0]))?;
        let config: Config = parse(path, CONFIG)?.ok_or_else(|| missing(path, CONFIG))?;
        let tokenizer = text(path, TOKENIZER)?.ok_or_else(|| missing(path, TOKENIZER))?;
        check_modules(path)?;
        let bytes = std::fs::read(&graph).map_err(|error| unreadable(&graph, error))?;
        let own = max_tokens(path, &config)?;
        let lower = limit.filter(|limit| *limit < own);
        let alone = memmem::find(&bytes, BATCH_SCALED).is_some();
        Ok(Self {
            max_tokens: lower.unwrap_or(own),
            pooling: pooling(path)?,
            alone,
            precision: if alone { "int8" } else { "fp32" }.to_owned(),
            fingerprint: fingerprint(path, &graph, lower)?,
            provenance: text(path, PROVENANCE)?,
            graph,
            tokenizer,
            family: config.model_type,
            vocabulary: config.vocab_size,
        })
    }
}

#[derive(Deserialize)]
struct Config {
    model_type: String,
    vocab_size: usize,
    max_position_embeddings: Option<usize>,
    pad_token_id: Option<usize>,
}

#[derive(Deserialize)]
struct TokenizerConfig {
    model_max_length: Option<f64>,
}

#[derive(Deserialize)]
struct Sentences {
    max_seq_length: Option<usize>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct PoolingConfig {
    pooling_mode: Option<String>,
    pooling_mode_cls_token: bool,
    pooling_mode_mean_tokens: bool,
}

#[derive(Deserialize)]
struct Module {
    #[serde(rename = "type")]
    kind: String,
}

/// The lowest of the maxima that the files state.
fn max_tokens(folder: &Path, config: &Config) -> Result<usize, LoadError> {
    let shift = match config.pad_token_id {
        Some(pad) if SHIFTED.contains(&config.model_type.as_str()) => pad + 1,
        _ => 0,
    };
    let positions = config.max_position_embeddings;
    let tokenizer: Option<TokenizerConfig> = parse(folder, TOKENIZER_CONFIG)?;
    let tokenizer = tokenizer.and_then(|config| config.model_max_length);
    let sentences: Option<Sentences> = parse(folder, SENTENCES)?;
    let stated = [
        positions.map(|positions| positions.saturating_sub(shift)),
        tokenizer
            .filter(|tokens| *tokens < NO_MAXIMUM)
            .map(|tokens| tokens as usize),
        sentences.and_then(|config| config.max_seq_length),
    ];
    let stated = stated.into_iter().flatten().filter(|tokens| *tokens > 0);
    Ok(stated.min().unwrap_or(USUAL_TOKENS))
}

fn pooling(folder: &Path) -> Result<Pooling, LoadError> {
    let Some(config) = parse::<PoolingConfig>(folder, POOLING)? else {
        return Ok(Pooling::Mean);
    };
    let mode = config.pooling_mode.as_deref();
    match (
        config.pooling_mode_mean_tokens,
        config.pooling_mode_cls_token,
    ) {
        (true, false) => Ok(Pooling::Mean),
        (false, true) => Ok(Pooling::First),
        _ if mode == Some("mean") => Ok(Pooling::Mean),
        _ if mode == Some("cls") => Ok(Pooling::First),
        _ => Err(LoadError::Encoder(format!(
            "`{}` asks for a pooling that is not known here: the mean over the tokens and the \
             first token's state are; use an encoder of one of these",
            folder.join(POOLING).display()
        ))),
    }
}

/// Refuses layers that the graph does not hold: vectors without them would not be those that
/// were published.
fn check_modules(folder: &Path) -> Result<(), LoadError> {
    let modules: Vec<Module> = parse(folder, MODULES)?.unwrap_or_default();
    let known = ["Transformer", "Pooling", "Normalize"];
    for Module { kind } in modules {
        if !known.iter().any(|known| kind.ends_with(known)) {
            return Err(LoadError::Encoder(format!(
                "`{}` names a layer `{kind}` after the transformer, which is not known here: \
                 use an encoder that ends with its pooling",
                folder.join(MODULES).display()
            )));
        }
    }
    Ok(())
}

/// Weights lie beside the graph, in files whose names begin with the graph's. A maximum
/// lower than the model's own cuts more texts, and so makes other vectors.
fn fingerprint(folder: &Path, graph: &Path, lower: Option<usize>) -> Result<String, LoadError> {
    let said = [
        CONFIG,
        TOKENIZER,
        TOKENIZER_CONFIG,
        SENTENCES,
        POOLING,
        MODULES,
    ];
    let mut files: Vec<PathBuf> = said.iter().map(|name| folder.join(name)).collect();
    let beside = graph.parent().unwrap_or(folder);
    let entries = std::fs::read_dir(beside).map_err(|error| unreadable(beside, error))?;
    let mut weights: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    weights.retain(|path| path.file_name().is_some_and(is_of_graph));
    weights.sort();
    files.extend(weights);
    let mut hasher = Sha256::new();
    for path in files.iter().filter(|path| path.is_file()) {
        let name = path.strip_prefix(folder).unwrap_or(path);
        hash_file(&name.to_string_lossy(), path, &mut hasher)
            .map_err(|error| unreadable(path, error))?;
    }
    if let Some(tokens) = lower {
        hasher.update(format!("max_context\0{tokens}\0"));
    }
    let digest = hasher.finalize();
    Ok(digest.iter().map(|byte| format!("{byte:02x}")).collect())
}

fn is_of_graph(name: &std::ffi::OsStr) -> bool {
    name.to_string_lossy().starts_with(GRAPHS[0])
}

/// The file `name` as JSON, where it is there.
fn parse<T: DeserializeOwned>(folder: &Path, name: &str) -> Result<Option<T>, LoadError> {
    let Some(text) = text(folder, name)? else {
        return Ok(None);
    };
    let parsed = serde_json::from_str(&text);
    parsed
        .map(Some)
        .map_err(|error| unreadable(&folder.join(name), error))
}

fn text(folder: &Path, name: &str) -> Result<Option<String>, LoadError> {
    let path = folder.join(name);
    match std::fs::read_to_string(&path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(unreadable(&path, error)),
    }
}

fn missing(folder: &Path, file: &str) -> LoadError {
    LoadError::Encoder(format!(
        "`{}` is not an encoder's folder: it has no `{file}`; `optimum-cli export onnx --task \
         feature-extraction --model NAME DIR` writes a complete one",
        folder.display()
    ))
}

fn unreadable(path: &Path, reason: impl ToString) -> LoadError {
    LoadError::Encoder(format!(
        "`{}` cannot be read: {}",
        path.display(),
        reason.to_string()
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(folder: &Path, files: &[(&str, &str)]) {
        for (name, content) in files {
            let path = folder.join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, content).unwrap();
        }
    }

    fn published(config: &str) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        let files = [
            (GRAPHS[1], "graph"),
            (TOKENIZER, "{}"),
            (CONFIG, config),
            (POOLING, r#"{"pooling_mode_mean_tokens": true}"#),
        ];
        write(folder.path(), &files);
        folder
    }

    const BERT: &str =
        r#"{"model_type": "bert", "vocab_size": 100, "max_position_embeddings": 512}"#;

    #[test]
    fn a_published_folder_is_read() {
        let folder = published(BERT);
        assert!(is_encoder(folder.path()));
        let read = Folder::read(folder.path(), None).unwrap();
        assert!(read.graph.ends_with("onnx/model.onnx"));
        assert_eq!((read.family.as_str(), read.vocabulary), ("bert", 100));
        assert_eq!((read.pooling, read.alone), (Pooling::Mean, false));
        write(folder.path(), &[(DECODER, "{}")]);
        assert!(!is_encoder(folder.path()));
    }

    #[test]
    fn the_longest_text_is_the_lowest_maximum() {
        let folder = published(BERT);
        let longest = || Folder::read(folder.path(), None).unwrap().max_tokens;
        assert_eq!(longest(), 512);
        let unbounded = r#"{"model_max_length": 1000000000000000019884624838656}"#;
        write(folder.path(), &[(TOKENIZER_CONFIG, unbounded)]);
        assert_eq!(longest(), 512);
        write(folder.path(), &[(SENTENCES, r#"{"max_seq_length": 256}"#)]);
        assert_eq!(longest(), 256);
        let roberta = r#"{"model_type": "roberta", "vocab_size": 9, "pad_token_id": 1,
            "max_position_embeddings": 130}"#;
        write(folder.path(), &[(CONFIG, roberta)]);
        assert_eq!(longest(), 128);
    }

    #[test]
    fn a_vector_that_would_not_be_the_published_one_is_refused() {
        let folder = published(BERT);
        let dense = r#"[{"type": "sentence_transformers.models.Transformer"},
            {"type": "sentence_transformers.models.Dense"}]"#;
        for (name, content, what) in [
            (POOLING, r#"{"pooling_mode": "cls"}"#, None),
            (
                POOLING,
                r#"{"pooling_mode_max_tokens": true}"#,
                Some("pooling"),
            ),
            (POOLING, r#"{"pooling_mode": "mean"}"#, None),
            (MODULES, dense, Some("models.Dense")),
        ] {
            write(folder.path(), &[(name, content)]);
            match (Folder::read(folder.path(), None), what) {
                (Ok(_), None) => {}
                (Err(error), Some(what)) => {
                    assert!(error.to_string().contains(what), "{error}");
                }
                (read, _) => panic!("{content}: {read:?}"),
            }
        }
    }

    #[test]
    fn a_missing_file_is_named_with_what_writes_it() {
        let folder = published(BERT);
        std::fs::remove_file(folder.path().join(TOKENIZER)).unwrap();
        let error = Folder::read(folder.path(), None).unwrap_err().to_string();
        assert!(error.contains("tokenizer.json"), "{error}");
        assert!(error.contains("optimum-cli export onnx"), "{error}");
    }

    #[test]
    fn the_fingerprint_follows_the_weights() {
        let folder = published(BERT);
        let before = Folder::read(folder.path(), None).unwrap().fingerprint;
        write(folder.path(), &[("onnx/model.onnx_data", "weights")]);
        let after = Folder::read(folder.path(), None).unwrap().fingerprint;
        assert_ne!(before, after);
        let limited = |limit| Folder::read(folder.path(), Some(limit)).unwrap();
        assert_ne!(limited(100).fingerprint, after);
        assert_eq!(limited(9000).fingerprint, after);
        write(folder.path(), &[(PROVENANCE, "{}")]);
        let told = Folder::read(folder.path(), None).unwrap();
        assert_eq!(told.fingerprint, after);
        assert_eq!(told.provenance.as_deref(), Some("{}"));
    }

    #[test]
    fn a_graph_that_scales_over_its_batch_embeds_texts_one_by_one() {
        let folder = published(BERT);
        write(folder.path(), &[(GRAPHS[1], "…DynamicQuantizeLinear…")]);
        let read = Folder::read(folder.path(), None).unwrap();
        assert_eq!((read.alone, read.precision.as_str()), (true, "int8"));
    }
}
