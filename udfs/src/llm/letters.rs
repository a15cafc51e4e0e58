//! The letters that answer a scenario, as tokens.

use super::backend::ModelError;
use super::load::LoadError;
use super::tokens::Tokens;

/// What a decision writes just before its letter.
pub const OPENING: &str = "Behavior: [";

/// How many options a scenario can have: one letter each.
const ALPHABET: std::ops::RangeInclusive<char> = 'A'..='Z';

/// A decision up to where its letter follows.
pub fn opened(text: &str) -> String {
    match text {
        "" => OPENING.to_owned(),
        text => format!("{text}\n{OPENING}"),
    }
}

/// The first `choices` letters.
///
/// # Errors
/// When there are not 2 to 26 choices.
pub fn first_letters(choices: usize) -> Result<impl Iterator<Item = char>, ModelError> {
    let most = ALPHABET.count();
    if !(2..=most).contains(&choices) {
        return Err(ModelError::Row(format!(
            "a scenario has 2 to {most} choices, not {choices}"
        )));
    }
    Ok(ALPHABET.take(choices))
}

/// The token of each letter after [`OPENING`], in letter order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Letters(Vec<u32>);

impl Letters {
    /// Finds the letters' tokens.
    ///
    /// # Errors
    /// When some letter is not exactly one token after [`OPENING`]: its
    /// probability would then be that of something else.
    pub fn find(tokens: &Tokens) -> Result<Self, LoadError> {
        let encode = |text: &str| {
            tokens
                .content(text)
                .map_err(|error| LoadError::Tokenizer(error.to_string()))
        };
        let opening = encode(OPENING)?;
        let letters = ALPHABET.map(|letter| {
            let text = format!("{OPENING}{letter}");
            match encode(&text)?.strip_prefix(opening.as_slice()) {
                Some(&[token]) => Ok(token),
                _ => Err(LoadError::Letters { text }),
            }
        });
        letters.collect::<Result<_, _>>().map(Self)
    }

    /// The tokens of the first `choices` letters.
    ///
    /// # Errors
    /// When there are not 2 to 26 choices.
    pub fn first(&self, choices: usize) -> Result<&[u32], ModelError> {
        first_letters(choices).map(|letters| &self.0[..letters.count()])
    }

    /// The distribution over all letters where `logits` are those of the next token.
    pub fn distribution(&self, logits: &[f32]) -> Vec<f64> {
        softmax(
            self.0
                .iter()
                .map(|&letter| f64::from(logits[letter as usize])),
        )
    }

    /// The letter that `token` writes, if it writes one.
    pub fn letter(&self, token: u32) -> Option<char> {
        let mut letters = ALPHABET.zip(&self.0);
        letters.find_map(|(letter, &id)| (id == token).then_some(letter))
    }
}

/// The probabilities that `logits` stand for.
pub fn softmax(logits: impl Iterator<Item = f64> + Clone) -> Vec<f64> {
    let highest = logits.clone().fold(f64::NEG_INFINITY, f64::max);
    let weights = logits.map(|logit| (logit - highest).exp());
    let total: f64 = weights.clone().sum();
    weights.map(|weight| weight / total).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::llm::demo;

    #[test]
    fn each_letter_is_one_token() {
        let tokens = demo::tokens();
        let letters = Letters::find(&tokens).unwrap();
        let [a, b] = letters.first(2).unwrap() else {
            panic!("two letters were asked for");
        };
        assert_eq!(letters.letter(*a), Some('A'));
        assert_eq!(letters.letter(*b), Some('B'));
        assert_eq!(letters.letter(u32::MAX), None);
        let opened = tokens.content("Behavior: [Z").unwrap();
        assert_eq!(opened.last(), letters.first(26).unwrap().last());
    }

    #[test]
    fn there_are_2_to_26_choices() {
        let letters = Letters::find(&demo::tokens()).unwrap();
        for choices in [0, 1, 27] {
            let error = letters.first(choices).unwrap_err();
            assert!(matches!(error, ModelError::Row(_)), "{error}");
        }
    }

    #[test]
    fn a_tokenizer_that_merges_letters_is_refused() {
        let merging = r#"{"version": "1.0", "truncation": null, "padding": null,
            "added_tokens": [{"id": 0, "content": "[A", "single_word": false, "lstrip": false,
                "rstrip": false, "normalized": false, "special": false}],
            "normalizer": null, "pre_tokenizer": null, "post_processor": null,
            "decoder": null, "model": {"type": "BPE", "dropout": null, "unk_token": null,
            "continuing_subword_prefix": null, "end_of_word_suffix": null,
            "fuse_unk": false, "byte_fallback": false, "ignore_merges": false,
            "vocab": {"[A": 0, "[": 1, "A": 2}, "merges": []}}"#;
        let error = Letters::find(&Tokens::parse(merging).unwrap()).unwrap_err();
        assert!(matches!(error, LoadError::Letters { .. }), "{error}");
    }
}
