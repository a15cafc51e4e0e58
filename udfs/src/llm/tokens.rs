//! Text to tokens and back, with a wall between control and content.

use tokenizers::TruncationParams;
use tokenizers::pipeline::{EncodeOptions, Override, PipelineToken, PipelineTokenizer};

use super::backend::ModelError;
use super::load::LoadError;

/// A model's tokenizer.
#[derive(Clone)]
pub struct Tokens {
    tokenizer: PipelineTokenizer,
}

impl std::fmt::Debug for Tokens {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Tokens").finish_non_exhaustive()
    }
}

impl Tokens {
    /// Reads the text of a `tokenizer.json`, of any version.
    pub fn parse(json: &str) -> Result<Self, LoadError> {
        let canonical = tokenizers::canonicalize_str(json)
            .map_err(|error| LoadError::Tokenizer(error.to_string()))?;
        let tokenizer = tokenizers::from_json(&canonical)
            .map_err(|error| LoadError::Tokenizer(error.to_string()))?;
        Ok(Self { tokenizer })
    }

    /// Tokens of a template's own text, where `<|im_end|>` is a control token.
    pub fn control(&self, text: &str) -> Result<Vec<u32>, ModelError> {
        self.encode(text, false)
    }

    /// Tokens of anyone's text, where `<|im_end|>` is ten characters.
    pub fn content(&self, text: &str) -> Result<Vec<u32>, ModelError> {
        self.encode(text, true)
    }

    /// Tokens of anyone's text as a whole input, between the marks that the model expects
    /// around one, cut so that there are no more than `longest`.
    pub fn whole(&self, text: &str, longest: usize) -> Result<Vec<u32>, ModelError> {
        let options = EncodeOptions {
            add_special_tokens: true,
            encode_special_tokens: true,
            padding: Override::Off,
            truncation: Override::With(TruncationParams {
                max_length: longest,
                ..TruncationParams::default()
            }),
        };
        self.encode_with(text, &options)
    }

    fn encode(&self, text: &str, specials_are_text: bool) -> Result<Vec<u32>, ModelError> {
        let options = EncodeOptions {
            add_special_tokens: false,
            encode_special_tokens: specials_are_text,
            padding: Override::Off,
            truncation: Override::Off,
        };
        self.encode_with(text, &options)
    }

    fn encode_with(&self, text: &str, options: &EncodeOptions) -> Result<Vec<u32>, ModelError> {
        let mut tokens = Vec::new();
        self.tokenizer
            .encode_into(text, options, &mut tokens)
            .map_err(|error| ModelError::Row(format!("the text cannot be tokenised: {error}")))?;
        Ok(PipelineToken::cast_slice(&tokens).to_vec())
    }

    /// The text of generated tokens; control tokens have none.
    pub fn decode(&self, tokens: &[u32]) -> Result<String, ModelError> {
        self.tokenizer.decode(tokens, true).map_err(|error| {
            ModelError::Fatal(format!("the model's tokens cannot be decoded: {error}"))
        })
    }
}
