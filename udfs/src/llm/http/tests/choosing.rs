//! Letters' probabilities, by log probabilities or draws.

use serde_json::{Value, json};

use super::*;
use crate::llm::backend::{Backend, By, Usage};
use crate::llm::http::Continue;

/// An answer that tells the likeliest first tokens.
fn likeliest(tokens: &[(&str, f64)]) -> Act {
    let tokens = tokens.iter();
    let tokens: Vec<_> = tokens
        .map(|(token, p)| json!({"token": token, "logprob": p.ln()}))
        .collect();
    let choice = json!({
        "index": 0,
        "message": {"content": "A"},
        "finish_reason": "length",
        "logprobs": {"content": [{"token": "A", "top_logprobs": tokens}]},
    });
    let usage = json!({"prompt_tokens": 30, "completion_tokens": 1});
    Act::json(200, json!({"choices": [choice], "usage": usage}))
}

/// A server without log probabilities that writes `texts` in turn.
async fn drawing(texts: &'static [&'static str]) -> TestServer {
    TestServer::start(move |_, body| {
        let texts: Vec<_> = texts.iter().cycle().take(asked(body)).copied().collect();
        written(&texts)
    })
    .await
}

#[tokio::test]
async fn log_probabilities_are_made_to_add_up_over_the_letters() {
    let tokens = [
        ("A", 0.3),
        ("B", 0.1),
        ("B]", 0.2),
        ("D", 0.1),
        ("Apple", 0.2),
    ];
    let server = TestServer::start(move |_, _| likeliest(&tokens)).await;
    let model = model(&server);
    let reply = model
        .choose(&user("x"), "Thought:\nWarm.", 3)
        .await
        .unwrap();
    assert_eq!(reply.value.by, By::Logprobs);
    let expected = [0.5, 0.5, 0.0];
    for (found, expected) in reply.value.probs.iter().zip(expected) {
        assert!(
            (found - expected).abs() < 1e-12,
            "{found} is not {expected}"
        );
    }
    assert_eq!(reply.value.probs.len(), 3);
    assert_eq!(
        reply.usage,
        Usage {
            prompt_tokens: 30,
            cached_tokens: 0,
            generated_tokens: 1,
            ..Usage::default()
        }
    );
    assert_eq!(
        server.seen()[0].body,
        json!({
            "model": "gpt", "temperature": 1, "top_p": 1, "max_tokens": 1,
            "logprobs": true, "top_logprobs": 20,
            "add_generation_prompt": false, "continue_final_message": true,
            "messages": [
                {"role": "user", "content": "x"},
                {"role": "assistant", "content": "Thought:\nWarm.\nBehavior: ["},
            ],
        })
    );
}

#[tokio::test]
async fn without_log_probabilities_letters_are_drawn() {
    let server = drawing(&["A", "B]", "C", "A", "Z", "no"]).await;
    let mut options = options(&server);
    options.choose_draws = 6;
    let model = HttpModel::open(options).unwrap();
    let reply = model.choose(&user("x"), "Warm.", 3).await.unwrap();
    assert_eq!(reply.value.by, By::Draws);
    assert_eq!(reply.value.probs, [0.5, 0.25, 0.25]);
    assert_eq!(reply.usage.prompt_tokens, 60, "both requests are paid for");
    let asked: Vec<_> = server.seen().iter().map(|seen| asked(&seen.body)).collect();
    assert_eq!(asked, [1, 6]);
    model.choose(&user("y"), "Warm.", 3).await.unwrap();
    assert_eq!(
        server.seen().len(),
        3,
        "log probabilities are not asked for again"
    );
}

#[tokio::test]
async fn a_server_may_repeat_the_message_that_it_continues() {
    let server = drawing(&[
        "Warm.\nBehavior: [A",
        "Warm.\nBehavior: [B",
        "Warm.\nBehavior: [B]",
        "B",
    ])
    .await;
    let mut options = options(&server);
    options.choose_draws = 4;
    let model = HttpModel::open(options).unwrap();
    let reply = model.choose(&user("x"), "Warm.", 2).await.unwrap();
    assert_eq!(reply.value.probs, [0.25, 0.75]);
}

#[tokio::test]
async fn a_server_that_refuses_log_probabilities_is_drawn_from() {
    let server = TestServer::start(|_, body| match body.get("logprobs") {
        Some(_) => Act::json(400, json!({"error": "unknown field logprobs"})),
        None => written(&vec!["B"; asked(body)]),
    })
    .await;
    let reply = model(&server).choose(&user("x"), "Warm.", 2).await.unwrap();
    assert_eq!(
        (reply.value.by, reply.value.probs),
        (By::Draws, vec![0.0, 1.0])
    );
}

#[tokio::test]
async fn no_letter_at_all_fails_the_row() {
    let told = TestServer::start(|_, _| likeliest(&[("The", 0.9), ("C", 0.1)])).await;
    let drawn = drawing(&["The"]).await;
    for server in [told, drawn] {
        let error = model(&server).choose(&user("x"), "Warm.", 2).await;
        let error = error.unwrap_err();
        assert!(matches!(error, ModelError::Row(_)), "{error}");
        assert!(text(&error).contains("none of the options' letters"));
        assert!(text(&error).contains("option continue to ask"));
    }
}

#[tokio::test]
async fn a_server_that_cannot_continue_can_be_asked() {
    let server = TestServer::start(|_, _| likeliest(&[(" B", 0.6), ("A", 0.2)])).await;
    let mut options = options(&server);
    options.continuation = Continue::Ask;
    let model = HttpModel::open(options).unwrap();
    let reply = model.choose(&user("x"), "Warm.", 2).await.unwrap();
    assert!((reply.value.probs[1] - 0.75).abs() < 1e-12);
    model.choose(&user("x"), "", 2).await.unwrap();
    let said = |request: usize| -> Vec<Value> {
        let body = &server.seen()[request].body;
        assert!(body.get("continue_final_message").is_none());
        let messages = body["messages"].as_array().unwrap();
        messages.iter().map(|m| m["role"].clone()).collect()
    };
    assert_eq!(said(0), ["user", "assistant", "user"]);
    assert_eq!(said(1), ["user", "user"]);
}

#[tokio::test]
async fn a_scenario_has_2_to_26_choices() {
    let server = drawing(&["A"]).await;
    for choices in [0, 1, 27] {
        let error = model(&server).choose(&user("x"), "", choices).await;
        assert!(matches!(error, Err(ModelError::Row(_))));
    }
    assert!(server.seen().is_empty());
}
