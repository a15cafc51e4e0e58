//! Calls are right, and asked no more often than need be, wherever they stand.

use super::fake::Fake;
use super::{ROWS, collect, rows, session, value};

#[tokio::test]
async fn two_calls_in_one_aggregate_do_not_mix() {
    let fake = Fake::quick();
    let ctx = session(&fake, 2).await;
    let sums = value(
        &ctx,
        "SELECT [sum(perplexity('m', messages, 'ab')['perplexity']), \
                 sum(perplexity('m', messages, 'abcd')['perplexity'])] FROM t",
    )
    .await;
    assert_eq!(sums, format!("[{}.0, {}.0]", 2 * ROWS, 4 * ROWS));
    assert_eq!(fake.calls(), 2 * ROWS);
}

#[tokio::test]
async fn cheap_conjuncts_are_applied_before_the_model_is_asked() {
    let fake = Fake::quick();
    let ctx = session(&fake, 2).await;
    let count = value(
        &ctx,
        "SELECT count(*) FROM t \
         WHERE perplexity('m', messages, prompt)['perplexity'] = 4 AND k = 3",
    )
    .await;
    assert_eq!(count, "86");
    assert_eq!(fake.calls(), 100);
}

#[tokio::test]
async fn a_later_conjunct_is_asked_about_what_the_earlier_one_let_pass() {
    let fake = Fake::quick();
    let ctx = session(&fake, 1).await;
    let sql = "SELECT count(*) FROM t \
               WHERE perplexity('m', messages, prompt)['perplexity'] = 2 \
                 AND decide('m', messages, 1)[1]['text'] LIKE 'p%'";
    assert_eq!(value(&ctx, sql).await, "10");
    assert_eq!(fake.calls(), ROWS + 10);
}

#[tokio::test]
async fn predicates_go_below_a_call_unless_they_read_its_answer() {
    let fake = Fake::quick();
    let ctx = session(&fake, 2).await;
    let sql = "SELECT id FROM (SELECT id, k, perplexity('m', messages, prompt) AS p FROM t) \
               WHERE k = 3 AND p['perplexity'] = 2 ORDER BY id";
    assert_eq!(rows(&ctx, sql).await, ["3"]);
    assert_eq!(fake.calls(), 100);
}

#[tokio::test]
async fn the_same_call_in_select_and_where_is_asked_once() {
    let fake = Fake::quick();
    let ctx = session(&fake, 2).await;
    let sql = "SELECT id, perplexity('m', messages, prompt)['perplexity'] AS p, \
                      perplexity('m', messages, prompt)['perplexity'] + 1 AS q \
               FROM t WHERE perplexity('m', messages, prompt)['perplexity'] < 3 ORDER BY id";
    let rows = rows(&ctx, sql).await;
    assert_eq!(rows.len(), 10);
    assert_eq!(rows[9], "9|2.0|3.0");
    assert_eq!(fake.calls(), ROWS);
}

#[tokio::test]
async fn a_call_can_sort() {
    let fake = Fake::quick();
    let ctx = session(&fake, 2).await;
    let sql = "SELECT id FROM t ORDER BY perplexity('m', messages, prompt)['perplexity'] DESC, \
               id DESC LIMIT 2";
    assert_eq!(rows(&ctx, sql).await, ["699", "698"]);
    assert_eq!(fake.calls(), ROWS);
}

#[tokio::test]
async fn a_limit_limits_the_calls() {
    let fake = Fake::quick();
    let ctx = session(&fake, 1).await;
    let sql = "SELECT id, decide('m', messages, 1) FROM t LIMIT 5";
    assert_eq!(rows(&ctx, sql).await.len(), 5);
    assert_eq!(fake.calls(), 5);
}

#[tokio::test]
async fn a_sort_and_its_limit_come_before_the_calls() {
    let fake = Fake::quick();
    let ctx = session(&fake, 4).await;
    let sql = "SELECT d[1]['text'] FROM \
                 (SELECT -id AS minus, decide('m', messages, 1) AS d FROM t) AS s \
               ORDER BY minus LIMIT 3";
    assert_eq!(rows(&ctx, sql).await, ["p699#0", "p698#0", "p697#0"]);
    assert_eq!(fake.calls(), 3);
}

#[tokio::test]
async fn rows_are_sorted_before_they_are_filtered_by_a_model() {
    let fake = Fake::new(1, 0);
    let ctx = session(&fake, 1).await;
    let sql = "SELECT id FROM t WHERE perplexity('m', messages, prompt)['perplexity'] > 1 \
               ORDER BY id DESC LIMIT 2";
    assert_eq!(rows(&ctx, sql).await, ["699", "698"]);
    assert!(fake.calls() <= 256 + 4, "asked beyond the first slice");
}

#[tokio::test]
async fn calls_nest() {
    let fake = Fake::quick();
    let ctx = session(&fake, 2).await;
    let sql = "SELECT sum(perplexity('m', messages, decide('m', messages, 2)[2]['text'])\
               ['perplexity']) FROM t WHERE id < 10";
    assert_eq!(value(&ctx, sql).await, "40.0");
    assert_eq!(fake.calls(), 20);
}

#[tokio::test]
async fn null_arguments_ask_nothing_so_case_can_choose_the_rows() {
    let fake = Fake::quick();
    let ctx = session(&fake, 2).await;
    let sql = "SELECT count(d) FROM (SELECT decide('m', CASE WHEN k = 3 THEN messages END, 1) AS d \
               FROM t)";
    assert_eq!(value(&ctx, sql).await, "100");
    assert_eq!(fake.calls(), 100);
    let sql = "SELECT choose('m', messages, NULL, 3) IS NULL FROM t LIMIT 1";
    assert_eq!(value(&ctx, sql).await, "true");
    assert_eq!(fake.calls(), 0);
}

#[tokio::test]
async fn answers_can_be_unnested() {
    let fake = Fake::quick();
    let ctx = session(&fake, 2).await;
    let sql = "SELECT id, d['draw'], d['text'] FROM \
                 (SELECT id, unnest(decide('m', messages, 2)) AS d FROM t WHERE id < 2) \
               ORDER BY 1, 2";
    assert_eq!(
        rows(&ctx, sql).await,
        ["0|0|p0#0", "0|1|p0#1", "1|0|p1#0", "1|1|p1#1"]
    );
    assert_eq!(fake.calls(), 2);
}

#[tokio::test]
async fn calls_group_and_filter_groups() {
    let fake = Fake::quick();
    let ctx = session(&fake, 2).await;
    let sql = "SELECT perplexity('m', messages, prompt)['perplexity'] AS p, count(*) FROM t \
               GROUP BY perplexity('m', messages, prompt)['perplexity'] \
               HAVING max(perplexity('m', messages, 'abc')['perplexity']) = 3 ORDER BY p";
    assert_eq!(rows(&ctx, sql).await, ["2.0|10", "3.0|90", "4.0|600"]);
    assert_eq!(fake.calls(), 2 * ROWS);
    let sql = "SELECT perplexity('m', messages, prompt)['perplexity'] AS p, k, count(*) FROM t \
               GROUP BY ROLLUP (perplexity('m', messages, prompt)['perplexity'], k)";
    assert_eq!(rows(&ctx, sql).await.len(), 3 * 7 + 3 + 1);
    assert_eq!(fake.calls(), ROWS);
}

#[tokio::test]
async fn distinct_and_union_keep_their_columns() {
    let fake = Fake::quick();
    let ctx = session(&fake, 2).await;
    let sql = "SELECT DISTINCT perplexity('m', messages, prompt)['perplexity'] AS p FROM t \
               UNION ALL SELECT perplexity('m', messages, 'abcde')['perplexity'] FROM t \
               WHERE id = 0 ORDER BY p";
    assert_eq!(rows(&ctx, sql).await, ["2.0", "3.0", "4.0", "5.0"]);
}

#[tokio::test]
async fn a_join_comes_before_a_predicate_over_both_sides() {
    let fake = Fake::quick();
    let ctx = session(&fake, 2).await;
    let sql = "SELECT count(*) FROM t JOIN (SELECT id, 'p' || id || '#0' AS truth FROM t \
               WHERE k = 1) u ON t.id = u.id WHERE decide('m', t.messages, 1)[1]['text'] = truth";
    assert_eq!(value(&ctx, sql).await, "100");
    assert_eq!(fake.calls(), 100);
}

#[tokio::test]
async fn both_sides_of_a_join_can_ask() {
    let fake = Fake::quick();
    let ctx = session(&fake, 2).await;
    let sql = "WITH a AS (SELECT id, decide('m', messages, 1) AS d FROM t WHERE id < 5) \
               SELECT count(*) FROM a JOIN a AS b ON a.id = b.id \
               WHERE a.d[1]['text'] = b.d[1]['text']";
    assert_eq!(value(&ctx, sql).await, "5");
}

#[tokio::test]
async fn subqueries_can_ask() {
    let fake = Fake::quick();
    let ctx = session(&fake, 2).await;
    let sql = "SELECT count(*) FROM t WHERE prompt || '#0' IN \
               (SELECT decide('m', messages, 1)[1]['text'] FROM t WHERE k = 2)";
    assert_eq!(value(&ctx, sql).await, "100");
    assert_eq!(fake.calls(), 100);
    let sql = "SELECT (SELECT max(perplexity('m', messages, prompt)['perplexity']) FROM t)";
    assert_eq!(value(&ctx, sql).await, "4.0");
    let sql = "SELECT decide('m', (SELECT messages FROM t WHERE id = 3), 1)[1]['text']";
    assert_eq!(value(&ctx, sql).await, "p3#0");
}

#[tokio::test]
async fn a_view_asks_only_for_what_is_read() {
    let fake = Fake::quick();
    let ctx = session(&fake, 2).await;
    let view = "CREATE VIEW v AS SELECT id, k, decide('m', messages, 1)[1]['text'] AS d, \
                perplexity('m', messages, prompt)['perplexity'] AS p FROM t";
    collect(&ctx, view).await.unwrap();
    assert_eq!(value(&ctx, "SELECT d FROM v WHERE id = 4").await, "p4#0");
    assert_eq!(fake.calls(), 1);
    assert_eq!(
        value(&ctx, "SELECT count(*) FROM v WHERE k = 2").await,
        "100"
    );
    assert_eq!(fake.calls(), 0);
    assert_eq!(
        value(&ctx, "SELECT sum(p) FROM v WHERE id < 10").await,
        "20.0"
    );
    assert_eq!(fake.calls(), 10);
}

#[tokio::test]
async fn answers_can_be_inserted_and_copied() {
    let fake = Fake::quick();
    let ctx = session(&fake, 2).await;
    for statement in [
        "CREATE TABLE answers (id BIGINT, text TEXT)",
        "INSERT INTO answers SELECT id, decide('m', messages, 1)[1]['text'] FROM t WHERE k = 0",
    ] {
        collect(&ctx, statement).await.unwrap();
    }
    let sql = "SELECT count(*) FROM answers WHERE text = 'p' || id || '#0'";
    assert_eq!(value(&ctx, sql).await, "100");
    assert_eq!(fake.calls(), 100);

    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("answers.parquet");
    let file = file.display();
    let copy = format!(
        "COPY (SELECT id, decide('m', messages, 1) AS d FROM t ORDER BY id DESC) TO '{file}'"
    );
    collect(&ctx, &copy).await.unwrap();
    assert_eq!(fake.calls(), ROWS);
    let read = format!("CREATE EXTERNAL TABLE back STORED AS PARQUET LOCATION '{file}'");
    collect(&ctx, &read).await.unwrap();
    let texts = rows(&ctx, "SELECT d[1]['text'] FROM back LIMIT 2").await;
    assert_eq!(texts, ["p699#0", "p698#0"]);
}

#[tokio::test]
async fn messages_are_read_by_name_whatever_their_text_type() {
    let fake = Fake::quick();
    let ctx = session(&fake, 1).await;
    for kind in ["Utf8", "LargeUtf8", "Utf8View", "Dictionary(Int32, Utf8)"] {
        let sql = format!(
            "SELECT decide('m', [named_struct('id', 1, \
             'content', arrow_cast(prompt, '{kind}'), 'role', arrow_cast('user', '{kind}'))], 1)\
             [1]['text'] FROM t LIMIT 1"
        );
        assert_eq!(value(&ctx, &sql).await, "p0#0", "{kind}");
    }
    let sql = "SELECT perplexity('m', [], 'abc')['perplexity']";
    assert_eq!(value(&ctx, sql).await, "3.0");
}

#[tokio::test]
async fn the_answers_have_the_documented_shape() {
    let fake = Fake::quick();
    let ctx = session(&fake, 1).await;
    assert_eq!(
        value(&ctx, "SELECT decide('m', messages, 2) FROM t LIMIT 1").await,
        "[{draw: 0, text: p0#0, letter: A, letter_probs: , tokens: 3, finish: behavior, error: }, \
         {draw: 1, text: p0#1, letter: A, letter_probs: , tokens: 3, finish: behavior, error: }]"
    );
    assert_eq!(
        value(&ctx, "SELECT choose('m', messages, '', 4) FROM t LIMIT 1").await,
        "{probs: [0.25, 0.25, 0.25, 0.25], by: logits, error: }"
    );
}
