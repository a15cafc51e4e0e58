//! A decision as a completion wrote it.

use super::wire::Completion;
use crate::llm::backend::{Decision, Finish};
use crate::llm::letters::OPENING;

/// Reads draw `draw`: the thought is what stands before the first opening, and the letter what
/// follows it.
pub fn read(draw: usize, completion: &Completion) -> Decision {
    let Completion { text, tokens, cut } = completion;
    let (thought, written) = match text.split_once(OPENING) {
        Some((thought, written)) => (thought, Some(written)),
        None => (text.as_str(), None),
    };
    let finish = match written {
        None | Some("") if *cut => Finish::Length,
        None => Finish::EndOfTurn,
        Some(_) => Finish::Behavior,
    };
    Decision {
        draw,
        text: thought.trim().to_owned(),
        letter: written.and_then(letter),
        letter_probs: None,
        tokens: *tokens,
        finish,
    }
}

/// The letter that `written` begins with, if nothing but a bracket follows it.
pub fn letter(written: &str) -> Option<char> {
    let mut characters = written.chars();
    let letter = characters.next().filter(char::is_ascii_uppercase)?;
    matches!(characters.next(), None | Some(']')).then_some(letter)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decision(text: &str, cut: bool) -> (String, Option<char>, Finish) {
        let completion = Completion {
            text: text.to_owned(),
            tokens: 9,
            cut,
        };
        let decision = read(2, &completion);
        assert_eq!((decision.draw, decision.tokens), (2, 9));
        (decision.text, decision.letter, decision.finish)
    }

    fn found(text: &str, letter: Option<char>, finish: Finish) -> (String, Option<char>, Finish) {
        (text.to_owned(), letter, finish)
    }

    #[test]
    fn the_first_opening_ends_the_thought() {
        use Finish::Behavior;
        for text in [
            "Thought:\nWarm [1].\nBehavior: [C]",
            "\nThought:\nWarm [1].\n\nBehavior: [C",
            "Thought:\nWarm [1].\nBehavior: [C]\nBehavior: [D] and more",
        ] {
            let expected = found("Thought:\nWarm [1].", Some('C'), Behavior);
            assert_eq!(decision(text, false), expected);
            assert_eq!(decision(text, true), expected);
        }
    }

    #[test]
    fn what_is_not_a_letter_is_no_letter() {
        for written in ["c]", "1]", "CD]", "C ]", "]", "", "É]"] {
            let text = format!("Warm.\nBehavior: [{written}");
            assert_eq!(
                decision(&text, false),
                found("Warm.", None, Finish::Behavior)
            );
        }
    }

    #[test]
    fn other_ends_keep_the_text() {
        use Finish::{EndOfTurn, Length};
        assert_eq!(decision("Warm.\n", false), found("Warm.", None, EndOfTurn));
        assert_eq!(decision("Warm", true), found("Warm", None, Length));
        assert_eq!(
            decision("Warm\nBehavior: [", true),
            found("Warm", None, Length)
        );
    }
}
