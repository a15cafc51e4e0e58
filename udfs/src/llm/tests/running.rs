//! The operator: order, bounds, cancellation, errors, and what it reports.

use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use datafusion::prelude::SessionConfig;
use futures::StreamExt;

use super::fake::Fake;
use super::{ROWS, collect, failure, rows, session, session_with, value};
use crate::llm::progress::{Observer, Progress, Step};

const ALL: &str = "SELECT id, decide('m', messages, 1)[1]['text'] FROM t";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rows_keep_their_order_and_answers_however_slow_and_partitioned() {
    let expected: Vec<_> = (0..ROWS).map(|id| format!("{id}|p{id}#0")).collect();
    for partitions in [1, 4] {
        let fake = Fake::new(16, 5);
        let ctx = session(&fake, partitions).await;
        let mut answers = rows(&ctx, ALL).await;
        if partitions > 1 {
            // Partitions come in any order, the rows of each in theirs.
            answers.sort_by_key(|row| row.split('|').next().unwrap().parse::<u64>().unwrap());
        }
        assert_eq!(answers, expected);
        let sorted = rows(&ctx, &format!("{ALL} ORDER BY id")).await;
        assert_eq!(sorted, expected);
        assert_eq!(fake.calls(), 2 * ROWS);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_partitions_together_fill_the_backend_and_no_more() {
    let fake = Fake::new(8, 3);
    let ctx = session(&fake, 4).await;
    collect(&ctx, ALL).await.unwrap();
    assert_eq!(fake.peak(), 8);
    assert_eq!(fake.in_flight(), 0);
}

#[tokio::test]
async fn dropping_the_stream_cancels_what_is_in_flight() {
    let fake = Fake::new(8, 10);
    let ctx = session(&fake, 1).await;
    let mut stream = ctx.sql(ALL).await.unwrap().execute_stream().await.unwrap();
    let first = stream.next().await.unwrap().unwrap();
    assert_eq!(first.num_rows(), 256);
    assert!(fake.in_flight() > 0);
    drop(stream);
    tokio::time::sleep(Duration::from_millis(1)).await;
    assert_eq!(fake.in_flight(), 0);
    let asked = fake.calls();
    assert!(asked < ROWS, "{asked}");
    tokio::time::sleep(Duration::from_millis(20)).await;
    assert_eq!(fake.calls(), 0);
}

#[tokio::test]
async fn a_slow_reader_is_not_run_away_from() {
    let fake = Fake::new(8, 0);
    let ctx = session(&fake, 1).await;
    let mut stream = ctx.sql(ALL).await.unwrap().execute_stream().await.unwrap();
    stream.next().await.unwrap().unwrap();
    tokio::time::sleep(Duration::from_millis(20)).await;
    let asked = fake.calls();
    assert!(asked <= 256 + 4 * 8, "{asked}");
}

#[tokio::test]
async fn a_row_that_cannot_be_done_is_an_answer() {
    let fake = Fake::quick();
    let ctx = session(&fake, 1).await;
    let call = |content: &str| {
        format!("SELECT decide('m', [named_struct('role', 'user', 'content', {content})], 2)")
    };
    assert_eq!(
        value(&ctx, &call("'bad'")).await,
        "[{draw: 0, text: , letter: , letter_probs: , tokens: , finish: , error: bad is too long}]"
    );
    let counted = "SELECT count(*) FROM t WHERE choose('m', \
                   [named_struct('role', 'user', 'content', \
                   CASE WHEN k = 0 THEN 'bad' ELSE prompt END)], '', 2)['error'] IS NOT NULL";
    assert_eq!(value(&ctx, counted).await, "100");
    for (sql, reason) in [
        ("decide('m', messages, 0)", "must be in 1..="),
        (
            "decide('m', [named_struct('role', 'boss', 'content', 'a')], 1)",
            "role 'boss'",
        ),
        (
            "decide('m', [named_struct('role', 'user', 'content', NULL)], 1)",
            "message 1 is null",
        ),
        ("decide('m', [], 1)", "empty"),
    ] {
        let answer = value(&ctx, &format!("SELECT {sql} FROM t LIMIT 1")).await;
        assert!(answer.contains(reason), "{answer}");
    }
}

#[tokio::test]
async fn a_broken_model_fails_the_query() {
    let fake = Fake::quick();
    let ctx = session(&fake, 2).await;
    let sql = "SELECT perplexity('m', [named_struct('role', 'user', 'content', \
               CASE WHEN id = 350 THEN 'broken' ELSE prompt END)], 'a') FROM t";
    let message = failure(&ctx, sql).await;
    assert!(
        message.contains("model 'm' cannot go on: the device is gone"),
        "{message}"
    );
}

#[tokio::test]
async fn explain_analyze_shows_what_it_cost() {
    let fake = Fake::new(16, 2);
    let ctx = session(&fake, 1).await;
    let plan = rows(&ctx, &format!("EXPLAIN ANALYZE {ALL} WHERE k = 3"))
        .await
        .join("\n");
    for part in [
        "InferExec: decide(m) AS __infer_1, concurrency=16",
        "output_rows=100",
        "prompt_tokens=1.00 K",
        "cached_tokens=400",
        "generated_tokens=300",
        "row_errors=0",
        // 4 draws a step, of 16 that could be.
        "batch_fill=25% (1.20 K/4.80 K)",
        "queue_wait=200",
        "tokens_per_second=",
        "engine_wait=",
    ] {
        assert!(plan.contains(part), "{part} is not in\n{plan}");
    }
}

#[tokio::test]
async fn settings_reach_the_model() {
    let fake = Fake::quick();
    let ctx = session(&fake, 1).await;
    for statement in [
        "SET model.seed = 7",
        "SET model.temperature = 0.5",
        "SET model.top_p = 1.0",
        "SET model.max_tokens = 9",
        "SELECT decide('m', messages, 1) FROM t LIMIT 1",
    ] {
        collect(&ctx, statement).await.unwrap();
    }
    let sampling = fake.sampling();
    assert_eq!((sampling.seed, sampling.max_tokens), (7, 9));
    assert_eq!((sampling.temperature, sampling.top_p), (0.5, 1.0));
    assert_eq!(rows(&ctx, "SHOW model.seed").await, ["model.seed|7"]);
    assert!(
        failure(&ctx, "SET model.top_p = 2")
            .await
            .contains("(0, 1]")
    );
}

#[derive(Default)]
struct Tally {
    rows: AtomicUsize,
    tokens: AtomicUsize,
    functions: Mutex<Vec<String>>,
}

impl Progress for Tally {
    fn advance(&self, step: &Step<'_>) {
        self.rows.fetch_add(1, SeqCst);
        self.tokens.fetch_add(step.usage.generated_tokens, SeqCst);
        let name = format!("{}({})", step.function, step.model);
        self.functions.lock().unwrap().push(name);
    }
}

#[tokio::test]
async fn progress_is_observed() {
    let fake = Fake::quick();
    let tally = Arc::new(Tally::default());
    let observer = Observer(Arc::clone(&tally) as _);
    let config = SessionConfig::new().with_extension(Arc::new(observer));
    let ctx = session_with(config, &fake, 1).await;
    collect(&ctx, &format!("{ALL} LIMIT 9")).await.unwrap();
    assert_eq!(tally.rows.load(SeqCst), 9);
    assert_eq!(tally.tokens.load(SeqCst), 27);
    assert_eq!(tally.functions.lock().unwrap()[0], "decide(m)");
}
