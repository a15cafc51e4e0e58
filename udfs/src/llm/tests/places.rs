//! Calls that cannot be run are refused, with the remedy.

use super::fake::Fake;
use super::{failure, session};

#[tokio::test]
async fn places_that_are_not_lifted_are_refused_with_the_rewrite() {
    let fake = Fake::quick();
    let ctx = session(&fake, 1).await;
    let call = "perplexity('m', messages, prompt)['perplexity']";
    let refused = [
        (
            format!("SELECT sum({call}) OVER () FROM t"),
            "a window function",
        ),
        (
            format!(
                "SELECT a.id FROM t a LEFT JOIN (SELECT 1.0 AS y) b ON a.id = b.y AND {call} > 1"
            ),
            "a join condition",
        ),
        (
            "INSERT INTO t2 VALUES (perplexity('m', [], 'a')['perplexity'])".to_owned(),
            "VALUES",
        ),
        (
            format!("SELECT DISTINCT ON ({call}) id FROM t"),
            "DISTINCT ON",
        ),
    ];
    ctx.sql("CREATE TABLE t2 (x DOUBLE)").await.unwrap();
    for (sql, place) in refused {
        let message = failure(&ctx, &sql).await;
        assert!(message.contains(place), "{message}");
        assert!(message.contains("subquery's SELECT list"), "{message}");
    }
    assert_eq!(fake.calls(), 0);
}

#[tokio::test]
async fn lambdas_are_refused() {
    let fake = Fake::quick();
    let ctx = session(&fake, 1).await;
    ctx.sql("SET datafusion.sql_parser.dialect = 'duckdb'")
        .await
        .unwrap();
    let sql = "SELECT array_transform(['a', 'b'], x -> perplexity('m', [], x)['perplexity'])";
    let message = failure(&ctx, sql).await;
    assert!(message.contains("a lambda"), "{message}");
}

#[tokio::test]
async fn lazily_evaluated_places_are_refused_with_the_rewrite() {
    let fake = Fake::quick();
    let ctx = session(&fake, 1).await;
    for sql in [
        "SELECT CASE WHEN k = 1 THEN decide('m', messages, 1) END FROM t",
        "SELECT CASE WHEN k = 1 THEN 1 WHEN decide('m', messages, 1) IS NULL THEN 2 END FROM t",
        "SELECT coalesce(prompt, decide('m', messages, 1)[1]['text']) FROM t",
    ] {
        let message = failure(&ctx, sql).await;
        assert!(message.contains("NULL for the rows to skip"), "{message}");
    }
    let eager = "SELECT CASE decide('m', messages, 1)[1]['letter'] WHEN 'A' THEN 1 END FROM t";
    assert!(super::collect(&ctx, eager).await.is_ok());
}

#[tokio::test]
async fn correlated_subqueries_are_refused() {
    let fake = Fake::quick();
    let ctx = session(&fake, 1).await;
    for sql in [
        "SELECT (SELECT decide('m', t.messages, 1)[1]['text']) FROM t",
        "SELECT id FROM t WHERE EXISTS (SELECT 1 FROM t u WHERE u.id = t.id \
         AND decide('m', u.messages, 1) IS NOT NULL)",
    ] {
        let message = failure(&ctx, sql).await;
        assert!(message.contains("outer query"), "{message}");
    }
}

#[tokio::test]
async fn correlated_arguments_are_refused_with_the_rewrite() {
    let fake = Fake::quick();
    let ctx = session(&fake, 1).await;
    let sql = "SELECT decide('m', (SELECT u.messages FROM t u WHERE u.id = t.id), 1) FROM t";
    let message = failure(&ctx, sql).await;
    assert!(message.contains("SELECT list first"), "{message}");
}

#[tokio::test]
async fn an_unknown_model_is_named_beside_the_known_ones() {
    let fake = Fake::quick();
    let ctx = session(&fake, 1).await;
    let message = failure(&ctx, "SELECT decide('weak', messages, 1) FROM t").await;
    for part in ["'weak'", "registered: 'm'", "STORED AS MODEL"] {
        assert!(message.contains(part), "{message}");
    }
    let message = failure(&ctx, "SELECT decide(prompt, messages, 1) FROM t").await;
    assert!(message.contains("literal"), "{message}");
}

#[tokio::test]
async fn wrong_arguments_are_explained() {
    let fake = Fake::quick();
    let ctx = session(&fake, 1).await;
    let message = failure(&ctx, "SELECT decide('m', prompt, 1) FROM t").await;
    assert!(message.contains("role and content"), "{message}");
    let message = failure(&ctx, "SELECT decide('m', messages) FROM t").await;
    assert!(message.contains("decide(model, messages, n)"), "{message}");
}
