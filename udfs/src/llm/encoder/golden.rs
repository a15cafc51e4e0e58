//! The encoder agrees with another implementation: vectors that
//! `usermirror_training.demo.encoder` computed with transformers.

use serde::Deserialize;

use super::{Encoder, EncoderOptions};
use crate::llm::backend::Backend;
use crate::llm::demo;

/// One line of the golden file.
#[derive(Deserialize)]
pub(super) struct Case {
    pub(super) text: String,
    pub(super) vector: Vec<f32>,
}

pub(super) fn cases() -> Vec<Case> {
    let path = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../tests/golden/models/encoder.jsonl"
    );
    let lines = std::fs::read_to_string(path);
    let lines = lines.unwrap_or_else(|error| panic!("{path}: {error}; run `make models`"));
    let cases = lines
        .lines()
        .map(|line| serde_json::from_str(line).unwrap());
    cases.collect()
}

#[tokio::test]
async fn vectors_agree_with_transformers() {
    let encoder = Encoder::open(&demo::folder("encoder"), &EncoderOptions::default()).unwrap();
    let cases = cases();
    assert_eq!(cases.len(), 20);
    for case in cases {
        let reply = encoder.embed(&case.text).await.unwrap();
        assert_eq!(reply.value.len(), case.vector.len());
        for (ours, theirs) in reply.value.iter().zip(&case.vector) {
            let text = &case.text;
            assert!(
                (ours - theirs).abs() < 1e-5,
                "{text}: {ours} is not {theirs}"
            );
        }
    }
}
