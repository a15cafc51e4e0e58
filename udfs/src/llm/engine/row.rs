//! One decision as it is being written.

use std::rc::Rc;
use std::sync::Arc;

use super::Lexicon;
use super::grammar::{Grammar, Held};
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
    /// The form that the draws are held to.
    pub grammar: Option<Arc<Grammar>>,
    /// The most tokens of a draw, within the context.
    pub limit: usize,
}

/// A draw of a prompt, from its first token to its letter.
#[derive(Debug)]
pub struct Row {
    plan: Rc<Plan>,
    draw: usize,
    /// What it has written but for the end of the turn, and what was put after it.
    tokens: Vec<u32>,
    /// Tokens of it that the model has read.
    read: usize,
    /// Tokens drawn.
    drawn: usize,
    stage: Stage,
    /// How far it is in the form that it is held to.
    held: Option<Held>,
    /// Draws in its steps, itself included.
    draws_in_steps: usize,
    /// What its letter was drawn from, or would have been.
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
    /// Nothing: it broke off after so many tokens, and the model still reads the opening that
    /// was put after them, for the letter that it would have drawn.
    BrokenOff(Finish, usize),
}

impl Row {
    /// A decision of which nothing is written yet.
    pub fn new(plan: &Rc<Plan>, draw: usize) -> Self {
        Self {
            plan: Rc::clone(plan),
            draw,
            tokens: Vec::new(),
            read: 0,
            drawn: 0,
            stage: Stage::Text,
            held: plan.grammar.as_deref().map(Grammar::begin),
            draws_in_steps: 0,
            letter_probs: None,
        }
    }

    /// The same draw with nothing written. It will come out the same.
    pub fn again(&self) -> Self {
        Self::new(&self.plan, self.draw)
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
            prompt: self.plan.prefix.tokens(),
            limit: self.plan.limit,
        }
    }

    /// What the model is to read next.
    pub fn next(&self) -> u32 {
        self.tokens.get(self.read).copied().unwrap_or_default()
    }

    /// Tokens of it that the model has read.
    pub fn read(&self) -> usize {
        self.read
    }

    /// Steps of the model in which it was written, and the draws in them, itself included.
    pub fn steps(&self) -> (usize, usize) {
        (self.read, self.draws_in_steps)
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
        self.write(&plan.prefix.logits, sampler, lexicon)
    }

    /// Takes the logits after [`Self::next`], which the model has read in a step of `draws`, and
    /// draws from them unless there is more to read; says whether that was the end.
    ///
    /// # Errors
    /// When the logits are no numbers.
    pub fn advance(
        &mut self,
        logits: &[f32],
        draws: usize,
        sampler: &mut Sampler,
        lexicon: &Lexicon,
    ) -> Result<Option<Finish>, ModelError> {
        self.read += 1;
        self.draws_in_steps += draws;
        if self.read < self.tokens.len() {
            return Ok(None);
        }
        if let Stage::BrokenOff(finish, _) = self.stage {
            self.letter_probs = Some(lexicon.letters.distribution(logits));
            return Ok(Some(finish));
        }
        self.write(logits, sampler, lexicon)
    }

    fn write(
        &mut self,
        logits: &[f32],
        sampler: &mut Sampler,
        lexicon: &Lexicon,
    ) -> Result<Option<Finish>, ModelError> {
        let key = Key {
            seed: self.plan.sampling.seed,
            prompt: self.plan.prompt_hash,
            draw: self.draw as u64,
            position: self.drawn as u64,
        };
        let allowed = match &mut self.held {
            Some(held) => held.allowed(logits)?,
            None => logits,
        };
        let token = sampler.draw(allowed, &self.plan.sampling, key);
        let token = token.ok_or_else(|| {
            ModelError::Fatal(
                "the model's logits are not numbers: its weights are broken; export it again"
                    .to_owned(),
            )
        })?;
        if let Some(held) = &mut self.held {
            held.take(token)?;
        }
        if self.stage == Stage::Letter {
            self.letter_probs = Some(lexicon.letters.distribution(logits));
        }
        self.accept(token, lexicon)
    }

    fn accept(&mut self, token: u32, lexicon: &Lexicon) -> Result<Option<Finish>, ModelError> {
        self.drawn += 1;
        if self.stage != Stage::Letter && lexicon.eos.contains(&token) {
            return self.break_off(Finish::EndOfTurn, lexicon);
        }
        self.tokens.push(token);
        self.stage = match self.stage {
            Stage::Letter => Stage::Done(lexicon.letters.letter(token)),
            _ => self.after_text(lexicon)?,
        };
        match self.stage {
            Stage::Done(_) => Ok(Some(Finish::Behavior)),
            Stage::Text if self.stops(lexicon)? => self.break_off(Finish::Stop, lexicon),
            _ if self.drawn >= self.plan.limit => self.break_off(Finish::Length, lexicon),
            _ => Ok(None),
        }
    }

    /// Ends the text without a letter. The model is still to read the opening, if it is not
    /// written: it costs a few tokens, and otherwise the whole text would have to be read again.
    fn break_off(
        &mut self,
        finish: Finish,
        lexicon: &Lexicon,
    ) -> Result<Option<Finish>, ModelError> {
        let written = self.tokens.len();
        if self.stage != Stage::Letter {
            let line_begins = self.tail(1, lexicon)?.ends_with('\n') || written == 0;
            self.tokens.extend(lexicon.opening(line_begins));
        }
        self.stage = Stage::BrokenOff(finish, written);
        Ok(None)
    }

    /// Looks for the opening where the last token can have completed it.
    fn after_text(&self, lexicon: &Lexicon) -> Result<Stage, ModelError> {
        // Every token of the opening has at least one of its bytes.
        let tail = self.tail(OPENING.len(), lexicon)?;
        Ok(match tail.split_once(OPENING) {
            None => Stage::Text,
            Some((_, "")) => Stage::Letter,
            Some((_, written)) => {
                let letter = written.chars().next();
                Stage::Done(letter.filter(char::is_ascii_uppercase))
            }
        })
    }

    /// Whether the last token completed a text that ends a decision.
    fn stops(&self, lexicon: &Lexicon) -> Result<bool, ModelError> {
        let stop = &self.plan.sampling.stop;
        // Every token of such a text has at least one of its bytes.
        let Some(longest) = stop.iter().map(String::len).max() else {
            return Ok(false);
        };
        let tail = self.tail(longest, lexicon)?;
        Ok(stop.iter().any(|text| tail.contains(text)))
    }

    /// The text of the last `tokens` tokens.
    fn tail(&self, tokens: usize, lexicon: &Lexicon) -> Result<String, ModelError> {
        let start = self.tokens.len().saturating_sub(tokens);
        lexicon.tokens.decode(&self.tokens[start..])
    }

    /// The decision, once it has ended.
    pub fn finish(self, finish: Finish, lexicon: &Lexicon) -> Result<Decision, ModelError> {
        let (letter, own) = match self.stage {
            Stage::Done(letter) => (letter, self.tokens.len()),
            Stage::BrokenOff(_, written) => (None, written),
            Stage::Text | Stage::Letter => (None, self.tokens.len()),
        };
        let written = lexicon.tokens.decode(&self.tokens[..own])?;
        let ends: &[String] = match finish {
            Finish::Stop => &self.plan.sampling.stop,
            _ => &[OPENING.to_owned()],
        };
        let end = ends.iter().filter_map(|end| written.find(end)).min();
        let text = &written[..end.unwrap_or(written.len())];
        Ok(Decision {
            draw: self.draw,
            text: text.trim().to_owned(),
            letter,
            letter_probs: self.letter_probs,
            tokens: self.drawn,
            finish,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::llm::demo;

    fn lexicon() -> Lexicon {
        let tokens = demo::tokens();
        let eos = tokens.control("<|im_end|>").unwrap();
        Lexicon::new(tokens, eos).unwrap()
    }

    fn row(stop: &[&str], limit: usize) -> Row {
        let prefix = Prefix {
            pieces: Vec::new(),
            logits: Rc::new([]),
        };
        let plan = Plan {
            job: 0,
            draws: 4,
            prefix: Rc::new(prefix),
            prompt_hash: 0,
            sampling: Sampling {
                stop: stop.iter().map(|&text| text.to_owned()).collect(),
                ..Sampling::default()
            },
            grammar: None,
            limit,
        };
        Row::new(&Rc::new(plan), 3)
    }

    /// Writes `parts`, each tokenised alone, until the row ends. Gives the decision, what the
    /// model read after it broke off, and how many tokens were not needed.
    fn write(limit: usize, parts: &[&str]) -> (Option<Decision>, String, usize) {
        write_until(&[], limit, parts)
    }

    /// The same with texts that end it.
    fn write_until(
        stop: &[&str],
        limit: usize,
        parts: &[&str],
    ) -> (Option<Decision>, String, usize) {
        let lexicon = lexicon();
        let mut sampler = Sampler::default();
        let mut row = row(stop, limit);
        let encode = |part: &&str| lexicon.tokens.control(part).unwrap();
        let mut tokens = parts
            .iter()
            .flat_map(encode)
            .collect::<Vec<_>>()
            .into_iter();
        let mut read = Vec::new();
        loop {
            let broken_off = matches!(row.stage, Stage::BrokenOff(..));
            let wanted = if broken_off { Some(0) } else { tokens.next() };
            let Some(wanted) = wanted else {
                return (None, String::new(), 0);
            };
            let mut logits = vec![-200.0; 1000];
            logits[wanted as usize] = 0.0;
            if broken_off {
                read.push(row.next());
            }
            let ended = match row.drawn {
                0 => row.write(&logits, &mut sampler, &lexicon).unwrap(),
                _ => row.advance(&logits, 1, &mut sampler, &lexicon).unwrap(),
            };
            if let Some(finish) = ended {
                let decision = row.finish(finish, &lexicon).unwrap();
                let read = lexicon.tokens.decode(&read).unwrap();
                return (Some(decision), read, tokens.len());
            }
        }
    }

    #[test]
    fn the_opening_is_found_across_token_borders() {
        for opening in [
            &["Behavior: ["][..],
            &["Beh", "avior", ": ["],
            &["B", "e", "h", "a", "v", "i", "o", "r", ":", " ", "["],
        ] {
            let parts = [&["Thought:\nWarm.\n"], opening, &["C", "] and more"]].concat();
            let (decision, _, left) = write(200, &parts);
            let decision = decision.unwrap();
            assert_eq!(decision.text, "Thought:\nWarm.");
            assert_eq!(decision.letter, Some('C'));
            assert_eq!(decision.finish, Finish::Behavior);
            assert_eq!(decision.draw, 3);
            assert!(left > 0, "nothing after the letter is written");
        }
    }

    #[test]
    fn a_stop_text_ends_it_across_token_borders() {
        for end in [&["###"][..], &["#", "##"], &[" #", "#", "# and"]] {
            let parts = [&["Warm.\n"], end, &[" Cold. Behavior: [", "A"]].concat();
            let (decision, read, left) = write_until(&["###"], 200, &parts);
            let decision = decision.unwrap();
            assert_eq!(decision.text, "Warm.");
            assert_eq!((decision.letter, decision.finish), (None, Finish::Stop));
            assert!(decision.letter_probs.is_some() && read.ends_with(OPENING));
            assert!(left > 0, "nothing after it is written");
        }
        let (decision, ..) = write_until(&["zebra", "Wa"], 200, &["Warm"]);
        assert_eq!(decision.unwrap().text, "");
    }

    #[test]
    fn what_is_not_a_letter_is_no_letter() {
        let (decision, ..) = write(200, &["Warm. Behavior: [", "?"]);
        let decision = decision.unwrap();
        assert_eq!((decision.letter, decision.finish), (None, Finish::Behavior));
    }

    #[test]
    fn other_ends_keep_the_text() {
        let (decision, read, _) = write(200, &["Warm, and", "<|im_end|>"]);
        let decision = decision.unwrap();
        assert_eq!(decision.text, "Warm, and");
        assert_eq!(
            (decision.letter, decision.finish),
            (None, Finish::EndOfTurn)
        );
        assert!(read.ends_with(&format!("\n{OPENING}")), "{read}");
        let (decision, ..) = write(2, &["B", "e", "h"]);
        let decision = decision.unwrap();
        assert_eq!((decision.tokens, decision.finish), (2, Finish::Length));
        assert_eq!(decision.text, "Be");
    }

    #[test]
    fn the_letter_is_weighed_after_other_ends_too() {
        for (limit, parts, read_after) in [
            (200, &["Warm.\n", "<|im_end|>"][..], OPENING),
            (200, &["<|im_end|>"], OPENING),
            (2, &["Be"], "\nBehavior: ["),
        ] {
            let (decision, read, _) = write(limit, parts);
            assert!(read.ends_with(read_after), "{read:?} after {parts:?}");
            let probs = decision.unwrap().letter_probs.unwrap();
            assert!((probs.iter().sum::<f64>() - 1.0).abs() < 1e-9);
        }
        // The opening is there: what is read after it is the model's own.
        let opening = lexicon().tokens.control(OPENING).unwrap().len();
        let (decision, ..) = write(opening, &[OPENING, "C"]);
        let decision = decision.unwrap();
        assert_eq!((decision.tokens, decision.letter), (opening, None));
        assert_eq!(
            (decision.text.as_str(), decision.finish),
            ("", Finish::Length)
        );
        assert!(decision.letter_probs.is_some());
    }
}
