//! One decision as it is being written.

use std::rc::Rc;

use super::Lexicon;
use super::pool::Need;
use super::prefixes::Prefix;
use crate::llm::backend::{Decision, Finish, ModelError, Sampling};
use crate::llm::letters::OPENING;
use crate::llm::sampler::{Key, Sampler};

/// What the draws of one request have in common.
#[derive(Debug)]
pub struct Plan {
    /// The request's number.
    pub job: u64,
    /// How many draws there are.
    pub draws: usize,
    /// The prompt, already through the model.
    pub prefix: Rc<Prefix>,
    /// Its [`crate::llm::sampler::prompt_hash`].
    pub prompt_hash: u64,
    /// How tokens are drawn.
    pub sampling: Sampling,
    /// The most tokens of a draw, within the context.
    pub limit: usize,
}

/// A draw of a prompt, from its first token to its letter.
#[derive(Debug)]
pub struct Row {
    plan: Rc<Plan>,
    draw: usize,
    /// What it has written.
    tokens: Vec<u32>,
    stage: Stage,
    /// What its letter was drawn from.
    letter_probs: Option<Vec<f64>>,
}

/// What the next token will be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// Part of the text.
    Text,
    /// The letter, because the text ends in [`OPENING`].
    Letter,
    /// Nothing: what stands where the letter belongs is written.
    Done(Option<char>),
}

impl Row {
    /// A decision of which nothing is written yet.
    pub fn new(plan: &Rc<Plan>, draw: usize) -> Self {
        Self {
            plan: Rc::clone(plan),
            draw,
            tokens: Vec::new(),
            stage: Stage::Text,
            letter_probs: None,
        }
    }

    /// The request's number.
    pub fn job(&self) -> u64 {
        self.plan.job
    }

    /// The prompt that it follows.
    pub fn prefix(&self) -> &Rc<Prefix> {
        &self.plan.prefix
    }

    /// What it and the other draws of its request need.
    pub fn need(&self) -> Need {
        Need {
            draws: self.plan.draws,
            prompt: self.plan.prefix.tokens.len(),
            limit: self.plan.limit,
        }
    }

    /// The last token written: what the model is to read next.
    pub fn last(&self) -> u32 {
        self.tokens.last().copied().unwrap_or_default()
    }

    /// Tokens of it that the model has read: all but the last written.
    pub fn read(&self) -> usize {
        self.tokens.len().saturating_sub(1)
    }

    /// Draws the first token, from the prompt's logits; says whether that was the
    /// end.
    ///
    /// # Errors
    /// When the logits are no numbers.
    pub fn begin(
        &mut self,
        sampler: &mut Sampler,
        lexicon: &Lexicon,
    ) -> Result<Option<Finish>, ModelError> {
        let plan = Rc::clone(&self.plan);
        self.advance(&plan.prefix.logits, sampler, lexicon)
    }

    /// Draws the next token from its logits; says whether that was the end.
    ///
    /// # Errors
    /// When the logits are no numbers.
    pub fn advance(
        &mut self,
        logits: &[f32],
        sampler: &mut Sampler,
        lexicon: &Lexicon,
    ) -> Result<Option<Finish>, ModelError> {
        let key = Key {
            seed: self.plan.sampling.seed,
            prompt: self.plan.prompt_hash,
            draw: self.draw as u64,
            position: self.tokens.len() as u64,
        };
        let token = sampler.draw(logits, &self.plan.sampling, key);
        let token = token.ok_or_else(|| {
            ModelError::Fatal(
                "the model's logits are not numbers: its weights are broken; export it again"
                    .to_owned(),
            )
        })?;
        if self.stage == Stage::Letter {
            self.letter_probs = Some(lexicon.letters.distribution(logits));
        }
        self.accept(token, lexicon)
    }

    fn accept(&mut self, token: u32, lexicon: &Lexicon) -> Result<Option<Finish>, ModelError> {
        self.tokens.push(token);
        match self.stage {
            Stage::Letter => self.stage = Stage::Done(lexicon.letters.letter(token)),
            _ if lexicon.eos.contains(&token) => return Ok(Some(Finish::EndOfTurn)),
            _ => self.stage = self.after_text(lexicon)?,
        }
        Ok(match self.stage {
            Stage::Done(_) => Some(Finish::Behavior),
            _ if self.tokens.len() >= self.plan.limit => Some(Finish::Length),
            _ => None,
        })
    }

    /// Looks for the opening where the last token can have completed it.
    fn after_text(&self, lexicon: &Lexicon) -> Result<Stage, ModelError> {
        // Every token of the opening has at least one of its bytes.
        let start = self.tokens.len().saturating_sub(OPENING.len());
        let tail = lexicon.tokens.decode(&self.tokens[start..])?;
        Ok(match tail.split_once(OPENING) {
            None => Stage::Text,
            Some((_, "")) => Stage::Letter,
            Some((_, written)) => {
                let letter = written.chars().next();
                Stage::Done(letter.filter(char::is_ascii_uppercase))
            }
        })
    }

    /// The decision, once it has ended.
    pub fn finish(self, finish: Finish, lexicon: &Lexicon) -> Result<Decision, ModelError> {
        let written = lexicon.tokens.decode(&self.tokens)?;
        let text = written
            .split_once(OPENING)
            .map_or(written.as_str(), |(text, _)| text);
        Ok(Decision {
            draw: self.draw,
            text: text.trim().to_owned(),
            letter: match self.stage {
                Stage::Done(letter) => letter,
                _ => None,
            },
            letter_probs: self.letter_probs,
            tokens: self.tokens.len(),
            finish,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::llm::demo;
    use crate::llm::engine::cache::Cache;
    use crate::llm::folder::CacheShape;
    use crate::llm::letters::Letters;

    fn lexicon() -> Lexicon {
        let tokens = demo::tokens();
        Lexicon {
            letters: Letters::find(&tokens).unwrap(),
            eos: tokens.control("<|im_end|>").unwrap(),
            tokens,
        }
    }

    fn row(limit: usize) -> Row {
        let shape = CacheShape {
            layers: 0,
            heads: 0,
            width: 0,
        };
        let prefix = Prefix {
            tokens: vec![1],
            cache: Cache::new(shape, 1, 1),
            logits: Vec::new(),
        };
        let plan = Plan {
            job: 0,
            draws: 4,
            prefix: Rc::new(prefix),
            prompt_hash: 0,
            sampling: Sampling::default(),
            limit,
        };
        Row::new(&Rc::new(plan), 3)
    }

    /// Writes `parts`, each tokenised alone, until the row ends.
    fn write(limit: usize, parts: &[&str]) -> (Option<Decision>, usize) {
        let lexicon = lexicon();
        let mut row = row(limit);
        let encode = |part: &&str| lexicon.tokens.control(part).unwrap();
        let tokens: Vec<u32> = parts.iter().flat_map(encode).collect();
        for (used, &token) in tokens.iter().enumerate() {
            if let Some(finish) = row.accept(token, &lexicon).unwrap() {
                return (
                    Some(row.finish(finish, &lexicon).unwrap()),
                    tokens.len() - used - 1,
                );
            }
        }
        (None, 0)
    }

    #[test]
    fn the_opening_is_found_across_token_borders() {
        for opening in [
            &["Behavior: ["][..],
            &["Beh", "avior", ": ["],
            &["B", "e", "h", "a", "v", "i", "o", "r", ":", " ", "["],
        ] {
            let parts = [&["Thought:\nWarm.\n"], opening, &["C", "] and more"]].concat();
            let (decision, left) = write(200, &parts);
            let decision = decision.unwrap();
            assert_eq!(decision.text, "Thought:\nWarm.");
            assert_eq!(decision.letter, Some('C'));
            assert_eq!(decision.finish, Finish::Behavior);
            assert_eq!(decision.draw, 3);
            assert!(left > 0, "nothing after the letter is written");
        }
    }

    #[test]
    fn what_is_not_a_letter_is_no_letter() {
        let (decision, _) = write(200, &["Warm. Behavior: [", "?"]);
        let decision = decision.unwrap();
        assert_eq!((decision.letter, decision.finish), (None, Finish::Behavior));
    }

    #[test]
    fn other_ends_keep_the_text() {
        let (decision, _) = write(200, &["Warm, and", "<|im_end|>"]);
        let decision = decision.unwrap();
        assert_eq!(decision.text, "Warm, and");
        assert_eq!(
            (decision.letter, decision.finish),
            (None, Finish::EndOfTurn)
        );
        let (decision, _) = write(2, &["B", "e", "h"]);
        let decision = decision.unwrap();
        assert_eq!((decision.tokens, decision.finish), (2, Finish::Length));
        assert_eq!(decision.text, "Be");
    }
}
