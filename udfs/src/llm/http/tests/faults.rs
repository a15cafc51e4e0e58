//! Servers that fail: what is tried again, what fails a row, what fails the run.

use std::time::{Duration, Instant};

use serde_json::json;

use super::*;
use crate::llm::backend::Backend;

const GOOD: &str = "Warm.\nBehavior: [B]";

/// A server that does `act` to the first `bad` requests and then answers well.
async fn failing(bad: usize, act: fn() -> Act) -> TestServer {
    TestServer::start(move |request, _| match request < bad {
        true => act(),
        false => written(&[GOOD]),
    })
    .await
}

async fn error(server: &TestServer) -> ModelError {
    let answer = model(server).decide(&user("x"), 1, &sampling()).await;
    answer.expect_err("the server answered badly")
}

fn status(status: u16, message: &str) -> Act {
    Act::json(status, json!({"error": {"message": message}}))
}

const PASSING: [fn() -> Act; 6] = [
    || status(429, "slow down"),
    || status(500, "oops"),
    || status(503, "loading"),
    || Act::Answer(200, String::new(), "<html>".to_owned()),
    || Act::json(200, json!({"choices": [{"message": {"content": null}}]})),
    || Act::Cut,
];

#[tokio::test]
async fn what_may_pass_is_tried_again() {
    for act in PASSING {
        let server = failing(2, act).await;
        let answer = model(&server).decide(&user("x"), 1, &sampling()).await;
        assert_eq!(answer.unwrap().value[0].letter, Some('B'));
        assert_eq!(server.seen().len(), 3);
    }
}

#[tokio::test]
async fn what_does_not_pass_fails_its_row() {
    for act in PASSING {
        let server = failing(9, act).await;
        let error = error(&server).await;
        assert!(matches!(error, ModelError::Row(_)), "{error}");
        assert!(text(&error).contains("after 3 tries"), "{error}");
        assert_eq!(server.seen().len(), 3);
    }
}

#[tokio::test]
async fn a_server_is_waited_for_as_long_as_it_asks() {
    let server = failing(1, || {
        Act::Answer(429, "retry-after: 1\r\n".to_owned(), String::new())
    })
    .await;
    let start = Instant::now();
    let answer = model(&server).decide(&user("x"), 1, &sampling()).await;
    assert!(answer.is_ok());
    assert!(start.elapsed() >= Duration::from_secs(1));

    let server = failing(1, || {
        Act::Answer(503, "retry-after: 3600\r\n".to_owned(), String::new())
    })
    .await;
    let error = error(&server).await;
    assert!(matches!(error, ModelError::Row(_)), "{error}");
    assert_eq!(server.seen().len(), 1, "an hour is too long");
}

#[tokio::test]
async fn a_late_answer_is_not_waited_for() {
    let late = || Act::Late(Duration::from_secs(60), Box::new(written(&[GOOD])));
    let server = failing(1, late).await;
    let mut options = options(&server);
    options.timeout = Duration::from_millis(100);
    let model = HttpModel::open(options.clone()).unwrap();
    assert!(model.decide(&user("x"), 1, &sampling()).await.is_ok());

    let server = failing(9, late).await;
    let timeout = options.timeout;
    let mut options = super::options(&server);
    options.timeout = timeout;
    let model = HttpModel::open(options).unwrap();
    let error = model.decide(&user("x"), 1, &sampling()).await.unwrap_err();
    assert!(matches!(error, ModelError::Row(_)), "{error}");
    assert!(text(&error).contains("no answer within 0.1 s"), "{error}");
}

#[tokio::test]
async fn a_server_that_is_not_there_fails_rows() {
    let mut options = HttpOptions::new("http://127.0.0.1:1/v1", "gpt").unwrap();
    options.retries = 1;
    options.first_wait = Duration::from_millis(1);
    let model = HttpModel::open(options).unwrap();
    let error = model.decide(&user("x"), 1, &sampling()).await.unwrap_err();
    assert!(matches!(error, ModelError::Row(_)), "{error}");
    assert!(text(&error).contains("no connection"), "{error}");
}

#[tokio::test]
async fn a_refused_key_fails_the_run_and_is_not_shown() {
    for code in [401, 403] {
        let server = failing(
            9,
            match code {
                401 => || status(401, "Incorrect API key: sk-secret-1234"),
                _ => || status(403, "sk-secret-1234 may not"),
            },
        )
        .await;
        let error = error(&server).await;
        assert!(matches!(error, ModelError::Fatal(_)), "{error}");
        assert!(text(&error).contains("TEACHER_KEY"), "{error}");
        assert_eq!(server.seen().len(), 1, "it is not tried again");
        let shown = format!("{:?}", model(&server));
        assert!(!shown.contains("secret"), "{shown}");
        assert!(shown.contains("TEACHER_KEY"), "{shown}");
    }
    let server = failing(9, || status(401, "who are you?")).await;
    let mut options = options(&server);
    options.key = None;
    let model = HttpModel::open(options).unwrap();
    let error = model.decide(&user("x"), 1, &sampling()).await.unwrap_err();
    assert!(text(&error).contains("key_env"), "{error}");
}

#[tokio::test]
async fn a_server_that_repeats_the_key_does_not_get_it_into_an_error() {
    for bad in [400, 500] {
        let server = TestServer::start(move |_, _| status(bad, &format!("{KEY} is bad"))).await;
        let error = error(&server).await;
        assert!(text(&error).contains("[key] is bad"), "{error}");
    }
}

#[tokio::test]
async fn what_no_request_can_get_fails_the_run() {
    for (act, what) in [
        (
            (|| status(404, "no such model")) as fn() -> Act,
            "no model gpt at http://127.0.0.1",
        ),
        (|| status(402, "pay"), "used up: pay"),
        (
            || {
                let error = json!({"message": "no quota", "code": "insufficient_quota"});
                Act::json(429, json!({"error": error}))
            },
            "used up: no quota",
        ),
        (
            || Act::Answer(307, "location: /v2\r\n".to_owned(), String::new()),
            "is elsewhere",
        ),
    ] {
        let server = failing(9, act).await;
        let error = error(&server).await;
        assert!(matches!(error, ModelError::Fatal(_)), "{error}");
        assert!(text(&error).contains(what), "{error}");
        assert_eq!(server.seen().len(), 1, "it is not tried again");
    }
}

#[tokio::test]
async fn a_refused_prompt_fails_its_row_with_the_servers_reason() {
    let server = failing(9, || status(400, "maximum context\nlength exceeded")).await;
    let error = error(&server).await;
    assert!(matches!(error, ModelError::Row(_)), "{error}");
    assert!(text(&error).contains("maximum context length exceeded"));
    assert_eq!(server.seen().len(), 1, "it is not tried again");
}

#[tokio::test]
async fn perplexities_are_not_had() {
    let server = failing(0, || Act::Cut).await;
    let error = model(&server).perplexity(&[], "x").await.unwrap_err();
    assert!(matches!(error, ModelError::Fatal(_)), "{error}");
    assert!(text(&error).contains("model folder"), "{error}");
}

#[test]
fn the_fingerprint_is_of_what_changes_answers() {
    let options = HttpOptions::new("https://host/v1", "gpt").unwrap();
    let of = |change: fn(&mut HttpOptions)| {
        let mut options = options.clone();
        change(&mut options);
        options.fingerprint()
    };
    let same: [fn(&mut HttpOptions); 3] = [
        |options| options.key = Key::new("TEACHER_KEY", KEY),
        |options| options.concurrency = 1,
        |options| options.retries = 0,
    ];
    assert!(same.into_iter().all(|change| of(change) == of(|_| {})));
    let other: [fn(&mut HttpOptions); 3] = [
        |options| options.model = "gpt-2".to_owned(),
        |options| options.choose_draws = 1,
        |options| drop(options.body.insert("top_k".to_owned(), json!(1))),
    ];
    assert!(other.into_iter().all(|change| of(change) != of(|_| {})));
}
