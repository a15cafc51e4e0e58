//! The engine over the weak demo model.

use std::time::{Duration, Instant};

use futures::future::join_all;

use super::*;
use crate::llm::backend::{By, Finish};
use crate::llm::demo;
use crate::llm::letters::OPENING;

fn options(slots: usize, cache_bytes: usize) -> EngineOptions {
    EngineOptions {
        slots,
        cache_bytes: Some(cache_bytes),
        prompt_cache_bytes: Some(cache_bytes / 4),
        ..EngineOptions::default()
    }
}

pub(super) fn engine(slots: usize, cache_bytes: usize) -> Engine {
    Engine::open(&demo::folder("weak"), &options(slots, cache_bytes)).unwrap()
}

fn wide() -> Engine {
    engine(64, 1 << 30)
}

pub(super) fn user(content: &str) -> Vec<Message> {
    let message = |role: &str, content: &str| Message {
        role: role.to_owned(),
        content: content.to_owned(),
    };
    vec![
        message("system", "You mirror one user of a recommender system."),
        message("user", content),
    ]
}

fn prompts(count: usize) -> Vec<Vec<Message>> {
    let line = "- 3 days ago: Amber Bridge (1998), Comedy / Drama, rated 4/5\n";
    let content = |i: usize| format!("## History\n{}film {i}", line.repeat(2 * (i % 7)));
    (0..count).map(|i| user(&content(i))).collect()
}

pub(super) fn sampling(max_tokens: usize) -> Sampling {
    Sampling {
        max_tokens,
        ..Sampling::default()
    }
}

async fn decide_all(engine: &Engine, prompts: &[Vec<Message>]) -> Vec<Vec<Decision>> {
    let sampling = sampling(40);
    let calls = prompts
        .iter()
        .map(|messages| engine.decide(messages, 5, &sampling));
    let replies = join_all(calls).await;
    replies
        .into_iter()
        .map(|reply| reply.unwrap().value)
        .collect()
}

#[tokio::test]
async fn decisions_do_not_depend_on_the_batch() {
    let prompts = prompts(14);
    let engine = wide();
    let mut alone = Vec::new();
    for messages in &prompts {
        let reply = engine.decide(messages, 5, &sampling(40)).await.unwrap();
        alone.push(reply.value);
    }
    assert_eq!(decide_all(&engine, &prompts).await, alone, "together");
    assert_eq!(
        decide_all(&wide(), &prompts).await,
        alone,
        "together, nothing kept"
    );
    for slots in [1, 2, 7] {
        assert_eq!(
            decide_all(&engine_of(slots), &prompts).await,
            alone,
            "{slots} slots"
        );
    }
    let mut reversed = prompts.clone();
    reversed.reverse();
    let mut replies = decide_all(&wide(), &reversed).await;
    replies.reverse();
    assert_eq!(replies, alone, "in another order");
}

fn engine_of(slots: usize) -> Engine {
    engine(slots, 1 << 30)
}

#[tokio::test]
async fn threads_change_nothing() {
    let prompts = prompts(6);
    let mut replies = Vec::new();
    for threads in [1, 2, 3] {
        let options = EngineOptions {
            threads: Some(threads),
            ..EngineOptions::default()
        };
        let engine = Engine::open(&demo::folder("weak"), &options).unwrap();
        replies.push(decide_all(&engine, &prompts).await);
    }
    assert_eq!(replies[0], replies[1]);
    assert_eq!(replies[0], replies[2]);
}

#[tokio::test]
async fn draws_are_keyed() {
    let engine = wide();
    let messages = user("anything");
    let few = engine
        .decide(&messages, 3, &sampling(30))
        .await
        .unwrap()
        .value;
    let many = engine
        .decide(&messages, 9, &sampling(30))
        .await
        .unwrap()
        .value;
    assert_eq!(
        few,
        many[..3],
        "a draw does not depend on how many there are"
    );
    let alone = engine.decide(&messages, 1, &sampling(30)).await.unwrap();
    assert_eq!(alone.value, many[..1], "nor on whether it is alone");
    assert_eq!(few.iter().map(|d| d.draw).collect::<Vec<_>>(), [0, 1, 2]);
    assert_ne!(few[0].text, few[1].text);
    let seeded = Sampling {
        seed: 7,
        ..sampling(30)
    };
    let other = engine.decide(&messages, 3, &seeded).await.unwrap().value;
    assert_ne!(few[0].text, other[0].text);
}

#[tokio::test]
async fn kept_prompts_change_no_probability() {
    let engine = wide();
    let forgetful = self::engine(64, 0);
    for (i, messages) in prompts(7).iter().enumerate() {
        let text = format!("Thought:\nStimulus: film {i}");
        let first = engine.choose(messages, &text, 5).await.unwrap();
        let again = engine.choose(messages, &text, 5).await.unwrap();
        let fresh = forgetful.choose(messages, &text, 5).await.unwrap();
        assert_eq!(first.value, fresh.value);
        assert_eq!(again.value, fresh.value);
        assert_eq!(fresh.usage.cached_tokens, 0);
        assert!(again.usage.cached_tokens > first.usage.cached_tokens);
        let shares_much_with_the_last = i == 6;
        assert!(first.usage.cached_tokens > 0 || !shares_much_with_the_last);
    }
}

#[tokio::test]
async fn choices_are_a_distribution() {
    let engine = wide();
    for choices in [2, 5, 26] {
        let reply = engine
            .choose(&user("x"), "Thought: y", choices)
            .await
            .unwrap();
        assert_eq!(reply.value.probs.len(), choices);
        assert_eq!(reply.value.by, By::Logits);
        assert!((reply.value.probs.iter().sum::<f64>() - 1.0).abs() < 1e-12);
    }
    let empty = engine.choose(&user("x"), "", 3).await.unwrap();
    assert_eq!(empty.value.probs.len(), 3);
    for choices in [1, 27] {
        let error = engine.choose(&user("x"), "y", choices).await.unwrap_err();
        assert!(matches!(error, ModelError::Row(_)), "{error}");
    }
}

/// `choose` after a text is the model's own distribution there: the chain rule
/// gives the same odds from two perplexities.
#[tokio::test]
async fn choices_agree_with_perplexities() {
    let engine = wide();
    let messages = user("x");
    let probabilities = engine
        .choose(&messages, "Thought: y", 2)
        .await
        .unwrap()
        .value
        .probs;
    let mut logs = Vec::new();
    for letter in ["A", "B"] {
        let text = format!("Thought: y\n{OPENING}{letter}");
        let tokens = engine.lexicon.tokens.content(&text).unwrap().len();
        let perplexity = engine.perplexity(&messages, &text).await.unwrap().value;
        logs.push(-perplexity.ln() * tokens as f64);
    }
    let odds = (logs[0] - logs[1]).exp();
    let expected = probabilities[0] / probabilities[1];
    assert!(
        (odds / expected - 1.0).abs() < 1e-4,
        "{odds} is not {expected}"
    );
}

#[tokio::test]
async fn perplexity_needs_something_to_predict() {
    let engine = wide();
    let alone = engine.perplexity(&[], "Thought: a comedy").await.unwrap();
    assert!(alone.value > 1.0);
    for (messages, text) in [(user("x"), ""), (Vec::new(), "")] {
        let error = engine.perplexity(&messages, text).await.unwrap_err();
        assert!(matches!(error, ModelError::Row(_)), "{error}");
    }
    let long = "Thought: a comedy with friends, rated 4/5. ".repeat(12);
    let reply = engine.perplexity(&user("x"), &long).await.unwrap();
    assert!(reply.value.is_finite());
}

#[tokio::test]
async fn prompts_beyond_the_context_are_errors_of_the_row() {
    let engine = wide();
    let long = user(&"Amber Bridge ".repeat(2000));
    let decide = engine.decide(&long, 2, &sampling(5)).await.unwrap_err();
    let choose = engine.choose(&long, "x", 2).await.unwrap_err();
    let perplexity = engine.perplexity(&long, "x").await.unwrap_err();
    for error in [decide, choose, perplexity] {
        assert!(matches!(error, ModelError::Row(_)));
        assert!(
            error.to_string().contains("exceeds the model's context"),
            "{error}"
        );
    }
}

#[tokio::test]
async fn decisions_end_at_the_context() {
    let options = EngineOptions {
        max_context: 100,
        ..EngineOptions::default()
    };
    let engine = Engine::open(&demo::folder("weak"), &options).unwrap();
    let reply = engine
        .decide(&user("x"), 20, &sampling(1000))
        .await
        .unwrap();
    let room = 100 - reply.usage.prompt_tokens;
    assert!(reply.value.iter().all(|decision| decision.tokens <= room));
}

#[tokio::test]
async fn dropped_calls_free_their_slots() {
    let engine = engine_of(4);
    let messages = user("x");
    let endless = sampling(900);
    let call = engine.decide(&messages, 400, &endless);
    let cut = tokio::time::timeout(Duration::from_millis(200), call).await;
    assert!(cut.is_err(), "the call was meant to be cut off");
    let begun = Instant::now();
    let reply = engine.decide(&messages, 2, &sampling(5)).await.unwrap();
    assert_eq!(reply.value.len(), 2);
    assert!(begun.elapsed() < Duration::from_secs(5));
    while engine.live() > 0 {
        assert!(
            begun.elapsed() < Duration::from_secs(10),
            "slots are still taken"
        );
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Long texts to weigh, and a decision asked for after them: each gets its share.
#[tokio::test]
async fn a_stream_of_scores_does_not_hold_up_decisions() {
    let engine = engine_of(4);
    let long = "Amber Bridge (1998), Comedy / Drama, rated 4/5. ".repeat(20);
    let texts: Vec<_> = (0..300).map(|i| format!("{i} {long}")).collect();
    let messages = user("x");
    let weighed = std::sync::atomic::AtomicUsize::new(0);
    let scores = join_all(texts.iter().map(|text| async {
        let reply = engine.perplexity(&messages, text).await.unwrap();
        weighed.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        reply.value
    }));
    let short = sampling(10);
    let decision = async {
        let reply = engine.decide(&messages, 4, &short).await.unwrap();
        let before = weighed.load(std::sync::atomic::Ordering::Relaxed);
        (reply.value, before)
    };
    let (among, (decisions, before)) = futures::join!(scores, decision);
    assert!(before < 150, "{before} scores were answered before it");
    let alone = engine.decide(&messages, 4, &short).await.unwrap();
    assert_eq!(decisions, alone.value, "what else is asked changes nothing");
    let first = engine.perplexity(&messages, &texts[0]).await.unwrap();
    assert_eq!(among[0], first.value);
}

#[tokio::test]
async fn little_memory_means_fewer_rows_not_other_rows() {
    let prompts = prompts(5);
    let narrow = decide_all(&engine(64, 1 << 20), &prompts).await;
    assert_eq!(narrow, decide_all(&wide(), &prompts).await);
}

#[tokio::test]
async fn no_draws_are_no_decisions() {
    let engine = engine_of(0);
    let none = engine.decide(&user("x"), 0, &sampling(5)).await.unwrap();
    assert_eq!(none.value, []);
    let one = engine.decide(&user("x"), 1, &sampling(5)).await.unwrap();
    assert_eq!(one.value.len(), 1);
}

#[tokio::test]
async fn wrong_settings_name_the_setting() {
    let engine = wide();
    for (wrong, setting) in [
        (
            Sampling {
                temperature: 0.0,
                ..sampling(5)
            },
            "model.temperature",
        ),
        (
            Sampling {
                top_p: 1.5,
                ..sampling(5)
            },
            "model.top_p",
        ),
        (sampling(0), "model.max_tokens"),
    ] {
        let error = engine.decide(&user("x"), 1, &wrong).await.unwrap_err();
        assert!(matches!(error, ModelError::Fatal(_)));
        assert!(error.to_string().contains(setting), "{error}");
    }
}

#[tokio::test]
async fn a_model_describes_itself() {
    let engine = wide();
    let info = engine.info();
    assert_eq!(
        (info.family.as_str(), info.device.as_str()),
        ("llama", "cpu")
    );
    assert_eq!(info.fingerprint.len(), 64);
    assert!(info.context_length >= 1024);
}

#[tokio::test]
async fn a_grammar_holds_decisions_to_its_lines() {
    let engine = wide();
    // So hot that free decisions seldom keep the form.
    let free = Sampling {
        temperature: 2.0,
        ..sampling(300)
    };
    let held = Sampling {
        grammar: Some(Form::Ekb),
        ..free.clone()
    };
    let reply = engine.decide(&prompts(1)[0], 20, &held).await.unwrap();
    let ended = reply.value.iter().filter(|d| d.finish == Finish::Behavior);
    let lines = [
        "Thought:",
        "Stimulus: ",
        "Stimulus Factors: ",
        "Knowledge: ",
        "Knowledge Factors: ",
        "Evaluation: ",
        "Evaluation Style: ",
    ];
    let has_form = |decision: &Decision| {
        let mut found = decision.text.lines().zip(lines);
        decision.text.lines().count() == lines.len()
            && found.all(|(line, beginning)| line.starts_with(beginning))
    };
    let mut whole = 0;
    for decision in ended {
        assert!(decision.letter.is_some(), "{decision:?}");
        assert!(has_form(decision), "{decision:?}");
        whole += 1;
    }
    assert!(whole > 0, "{:?}", reply.value);
    let free = engine.decide(&prompts(1)[0], 20, &free).await.unwrap();
    let kept = free.value.iter().filter(|decision| has_form(decision));
    assert!(kept.count() < 10, "{:?}", free.value);
}

#[tokio::test]
async fn replicas_answer_as_one_does() {
    let prompts = prompts(12);
    let two = EngineOptions {
        replicas: 2,
        threads: Some(3),
        ..options(8, 1 << 30)
    };
    let two = Engine::open(&demo::folder("weak"), &two).unwrap();
    assert_eq!(two.concurrency(), 16);
    let expected = decide_all(&wide(), &prompts).await;
    assert_eq!(decide_all(&two, &prompts).await, expected);
    assert_eq!(shares(3, 2, 6).collect::<Vec<_>>(), [1, 2]);
    assert_eq!(shares(1, 2, 6).collect::<Vec<_>>(), [1, 1]);
}

#[test]
fn a_replica_has_no_more_threads_than_heads() {
    assert_eq!(shares(16, 1, 3).collect::<Vec<_>>(), [3]);
    assert_eq!(shares(16, 4, 3).collect::<Vec<_>>(), [3; 4]);
}
