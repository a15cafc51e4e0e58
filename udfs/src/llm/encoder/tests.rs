//! What an encoder promises, by the demo encoder.

use std::sync::Arc;

use futures::future::join_all;

use super::golden::cases;
use super::{Encoder, EncoderOptions};
use crate::llm::backend::Backend;
use crate::llm::counting::Counting;
use crate::llm::demo;

fn open() -> Encoder {
    Encoder::open(&demo::folder("encoder"), &EncoderOptions::default()).unwrap()
}

fn bits(vector: &[f32]) -> Vec<u32> {
    vector.iter().map(|number| number.to_bits()).collect()
}

/// Texts of every length up to beyond the longest, many of each padded length.
fn texts() -> Vec<String> {
    let golden = cases().into_iter().map(|case| case.text);
    let lengths = (0..400_usize).map(|place| {
        let words = ["quiet", "drama", "of", "a", "western", "1975"];
        let words = (0..place % 29).map(|word| words[(word * word + place) % words.len()]);
        words.collect::<Vec<_>>().join(" ")
    });
    golden.chain(lengths).collect()
}

#[tokio::test]
async fn a_vector_has_the_same_bits_alone_and_among_others() {
    let texts = texts();
    let mut reference: Option<Vec<Vec<u32>>> = None;
    for threads in [1, 2] {
        let options = EncoderOptions {
            threads: Some(threads),
            ..EncoderOptions::default()
        };
        let encoder = Encoder::open(&demo::folder("encoder"), &options).unwrap();
        let mut alone = vec![];
        for text in &texts {
            alone.push(bits(&encoder.embed(text).await.unwrap().value));
        }
        let reference = reference.get_or_insert_with(|| alone.clone());
        assert!(*reference == alone, "{threads} threads");
        for backwards in [false, true] {
            let mut order: Vec<usize> = (0..texts.len()).collect();
            if backwards {
                order.reverse();
            }
            let together = join_all(order.iter().map(|place| encoder.embed(&texts[*place]))).await;
            for (place, reply) in order.into_iter().zip(together) {
                assert!(
                    reference[place] == bits(&reply.unwrap().value),
                    "{}",
                    texts[place]
                );
            }
        }
    }
}

#[tokio::test]
async fn vectors_have_length_one_and_texts_are_cut_at_the_longest() {
    let encoder = open();
    assert_eq!(encoder.info().context_length, 64);
    let long = "drama ".repeat(62);
    let longer = "drama ".repeat(500);
    let (cut, whole) = (
        encoder.embed(&longer).await.unwrap(),
        encoder.embed(&long).await.unwrap(),
    );
    assert_eq!(cut.usage.prompt_tokens, 64);
    assert_eq!(bits(&cut.value), bits(&whole.value));
    let length: f32 = cut.value.iter().map(|number| number * number).sum();
    assert!((length - 1.0).abs() < 1e-6);
    let options = EncoderOptions {
        max_context: Some(8),
        ..EncoderOptions::default()
    };
    let shorter = Encoder::open(&demo::folder("encoder"), &options).unwrap();
    let cut = shorter.embed(&longer).await.unwrap();
    assert_eq!(cut.usage.prompt_tokens, 8);
}

#[tokio::test]
async fn a_mark_in_a_text_is_text() {
    let encoder = open();
    let spelled = encoder.embed("[SEP] a").await.unwrap();
    // The two marks around a text, two brackets, three letters, and the a.
    assert_eq!(spelled.usage.prompt_tokens, 2 + 5 + 1);
}

#[tokio::test]
async fn an_estimate_counts_a_texts_tokens() {
    let encoder = Arc::new(open());
    let asked = encoder.embed("quiet drama").await.unwrap();
    let counted = Counting::new(encoder).embed("quiet drama").await.unwrap();
    assert_eq!(counted.usage, asked.usage);
    assert_eq!(counted.value.len(), asked.value.len());
}

#[tokio::test]
async fn a_folder_of_a_model_that_writes_is_told_apart() {
    assert!(super::is_encoder(&demo::folder("encoder")));
    assert!(!super::is_encoder(&demo::folder("weak")));
    let folder = tempfile::tempdir().unwrap();
    for name in ["tokenizer.json", "config.json"] {
        let from = demo::folder("encoder").join(name);
        std::fs::copy(from, folder.path().join(name)).unwrap();
    }
    let slot = demo::folder("weak").join("slot.onnx");
    std::fs::copy(slot, folder.path().join("model.onnx")).unwrap();
    let error = Encoder::open(folder.path(), &EncoderOptions::default()).unwrap_err();
    assert!(error.to_string().contains("logits_indices"), "{error}");
}
