//! `embed` in queries, by the demo encoder.

use super::fake::Fake;
use super::{ROWS, collect, failure, rows, session, value};
use datafusion::prelude::SessionContext;

async fn with_encoder(partitions: usize) -> SessionContext {
    let ctx = session(&Fake::quick(), partitions).await;
    let create = "CREATE EXTERNAL TABLE encoder STORED AS MODEL LOCATION 'encoder'";
    collect(&ctx, create).await.unwrap();
    ctx
}

#[tokio::test]
async fn an_encoder_shows_what_it_is() {
    let ctx = with_encoder(1).await;
    let sql = "SELECT family, precision, context_length, vocabulary, device, dimensions \
               FROM encoder";
    assert_eq!(value(&ctx, sql).await, "bert|fp32|64|119|cpu|32");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_calls_in_one_select_do_not_mix() {
    let ctx = with_encoder(2).await;
    let sql = "SELECT id, embed('encoder', prompt) = embed('encoder', other) \
               FROM (SELECT id, prompt, 'p' || (id + id % 2) AS other FROM t) ORDER BY id";
    let expected: Vec<_> = (0..ROWS)
        .map(|id| format!("{id}|{}", id % 2 == 0))
        .collect();
    assert_eq!(rows(&ctx, sql).await, expected);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn vectors_are_inserted_each_in_its_row() {
    let ctx = with_encoder(4).await;
    for statement in [
        "CREATE TABLE vectors (id BIGINT, vector FLOAT[])",
        "INSERT INTO vectors SELECT id, embed('encoder', prompt) FROM t",
        "CREATE VIEW v AS SELECT id, k, embed('encoder', prompt) AS vector FROM t",
    ] {
        collect(&ctx, statement).await.unwrap();
    }
    let same = "SELECT count(*) FROM vectors AS a JOIN v ON v.id = a.id AND v.vector = a.vector";
    assert_eq!(value(&ctx, same).await, ROWS.to_string());
    let filtered = "SELECT count(*) FROM v WHERE k = 3 AND vector[1] BETWEEN -1 AND 1";
    assert_eq!(value(&ctx, filtered).await, "100");
    assert_eq!(
        value(&ctx, "SELECT count(k) FROM v").await,
        ROWS.to_string()
    );
}

#[tokio::test]
async fn texts_are_found_by_their_distance() {
    let ctx = with_encoder(1).await;
    let sql = "SELECT text FROM (VALUES ('quiet drama'), ('a western'), ('sci fi')) AS t (text) \
               ORDER BY array_distance(embed('encoder', text), embed('encoder', 'Western, a')) \
               LIMIT 1";
    assert_eq!(value(&ctx, sql).await, "a western");
}

#[tokio::test]
async fn a_null_is_not_asked_and_an_empty_text_is() {
    let ctx = with_encoder(1).await;
    let sql = "SELECT embed('encoder', NULL) IS NULL, cardinality(embed('encoder', ''))";
    assert_eq!(value(&ctx, sql).await, "true|32");
}

#[tokio::test]
async fn explain_analyze_shows_rows_and_tokens() {
    let ctx = with_encoder(1).await;
    let sql = "EXPLAIN ANALYZE SELECT embed('encoder', 'drama') FROM t WHERE k = 3";
    let plan = rows(&ctx, sql).await.join("\n");
    for part in [
        "InferExec: embed(encoder) AS __infer_1, concurrency=256",
        "output_rows=100",
        "prompt_tokens=300",
        "row_errors=0",
    ] {
        assert!(plan.contains(part), "{part} is not in\n{plan}");
    }
}

#[tokio::test]
async fn each_kind_of_model_is_asked_what_it_can_answer() {
    let ctx = with_encoder(1).await;
    let message = failure(&ctx, "SELECT embed('m', prompt) FROM t").await;
    for part in [
        "'m' is a model that writes",
        "model.onnx",
        "STORED AS MODEL",
    ] {
        assert!(message.contains(part), "{message}");
    }
    for call in [
        "decide('encoder', messages, 1)",
        "choose('encoder', messages, '', 3)",
        "perplexity('encoder', messages, 'a')",
    ] {
        let message = failure(&ctx, &format!("SELECT {call} FROM t")).await;
        assert!(message.contains("'encoder' is an encoder"), "{message}");
        assert!(message.contains("embed('encoder', text)"), "{message}");
    }
}
