//! The engine agrees with another implementation: letter probabilities and
//! perplexities that `usermirror_training.demo.golden` computed with transformers.

use std::path::Path;

use serde::Deserialize;

use super::{Engine, EngineOptions};
use crate::llm::backend::{Backend, Message};
use crate::llm::demo;

/// One line of a golden file.
#[derive(Deserialize)]
struct Case {
    messages: Vec<Said>,
    text: String,
    choices: usize,
    probs: Vec<f64>,
    perplexity: f64,
}

#[derive(Deserialize)]
struct Said {
    role: String,
    content: String,
}

/// The model in `folder` agrees with the golden file `name`.
async fn agrees(folder: &Path, name: &str, tolerance: f64) {
    let engine = Engine::open(folder, &EngineOptions::default()).unwrap();
    for case in cases(name) {
        let said = case.messages.into_iter();
        let messages: Vec<_> = said
            .map(|Said { role, content }| Message { role, content })
            .collect();
        let probabilities = engine.choose(&messages, &case.text, case.choices).await;
        let probabilities = probabilities.unwrap().value.probs;
        assert_eq!(probabilities.len(), case.probs.len());
        for (ours, theirs) in probabilities.iter().zip(&case.probs) {
            assert!((ours - theirs).abs() < tolerance, "{ours} is not {theirs}");
        }
        let (ours, theirs) = (
            engine
                .perplexity(&messages, &case.text)
                .await
                .unwrap()
                .value,
            case.perplexity,
        );
        assert!(
            (ours / theirs - 1.0).abs() < tolerance,
            "{ours} is not {theirs}"
        );
    }
}

const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/golden/models");

fn cases(name: &str) -> Vec<Case> {
    let path = format!("{FOLDER}/{name}.jsonl");
    let lines = std::fs::read_to_string(&path);
    let lines = lines.unwrap_or_else(|error| panic!("{path}: {error}; run `make models`"));
    let cases = lines
        .lines()
        .map(|line| serde_json::from_str(line).unwrap());
    cases.collect()
}

#[tokio::test]
async fn the_weak_model_agrees_with_transformers() {
    agrees(&demo::folder("weak"), "weak", 1e-4).await;
}

#[tokio::test]
async fn the_strong_model_agrees_with_transformers() {
    agrees(&demo::folder("strong"), "strong", 1e-4).await;
}

#[tokio::test]
async fn keys_and_values_of_half_precision_agree_too() {
    let half = tempfile::tempdir().unwrap();
    for file in std::fs::read_dir(demo::folder("weak")).unwrap() {
        let file = file.unwrap();
        std::fs::copy(file.path(), half.path().join(file.file_name())).unwrap();
    }
    let graph = Path::new(FOLDER).join("weak_fp16.onnx");
    std::fs::copy(graph, half.path().join("slot.onnx")).unwrap();
    agrees(half.path(), "weak", 0.02).await;
}
