//! A served model in SQL.

use std::sync::Arc;

use async_trait::async_trait;
use datafusion::arrow::util::pretty::pretty_format_batches;
use datafusion::execution::session_state::SessionStateBuilder;
use datafusion::prelude::SessionContext;
use serde_json::json;

use super::*;
use crate::llm::backend::Backend;
use crate::llm::catalog::{ModelOptions, Open};
use crate::llm::install;
use crate::llm::models::Models;

#[derive(Debug)]
struct Opener;

#[async_trait]
impl Open for Opener {
    async fn open(
        &self,
        location: &str,
        options: &ModelOptions,
    ) -> datafusion::error::Result<Arc<dyn Backend>> {
        let options = HttpOptions::new(location, &options["model"]).unwrap();
        Ok(Arc::new(HttpModel::open(options).unwrap()))
    }
}

#[tokio::test]
async fn decisions_and_choices_are_had_in_sql() {
    let server = TestServer::start(|_, body| {
        let prompt = body["messages"][0]["content"].as_str().unwrap();
        match body.get("top_logprobs") {
            _ if prompt == "bad" => Act::json(400, json!({"error": {"message": "too long"}})),
            Some(_) => written(&["A"]),
            None if body["max_tokens"] == 1 => written(&["A", "B", "A", "A"].repeat(5)),
            None => written(&vec!["Warm.\nBehavior: [B]"; asked(body)]),
        }
    })
    .await;
    let models = Arc::new(Models::default());
    let builder = SessionStateBuilder::new().with_default_features();
    let builder = install(builder, &models, Arc::new(Opener));
    let ctx = SessionContext::new_with_state(builder.build());
    let create = format!(
        "CREATE EXTERNAL TABLE teacher STORED AS MODEL LOCATION '{}' OPTIONS ('model' 'gpt')",
        server.url
    );
    ctx.sql(&create).await.unwrap().collect().await.unwrap();
    let shown = async |sql: &str| {
        let batches = ctx.sql(sql).await.unwrap().collect().await.unwrap();
        pretty_format_batches(&batches).unwrap().to_string()
    };
    let facts = shown("SELECT family, device, length(fingerprint) FROM teacher").await;
    assert!(facts.contains("| gpt    | http   | 64"), "{facts}");
    let asked = "SELECT prompt, decide('teacher', messages, 2) AS d, \
                        choose('teacher', messages, 'Warm.', 2) AS c FROM \
                   (SELECT prompt, [named_struct('role', 'user', 'content', prompt)] AS messages \
                    FROM (VALUES ('good'), ('bad')) AS t (prompt))";
    let rows = shown(&format!(
        "SELECT d[2]['draw'], d[2]['letter'], d[2]['text'], c['probs'], c['by'] FROM ({asked}) \
         WHERE prompt = 'good'"
    ))
    .await;
    assert!(rows.contains("[0.75, 0.25]"), "{rows}");
    assert!(rows.contains("| draws"), "{rows}");
    let rows = shown(&format!(
        "SELECT d[1]['error'], c['by'], c['error'] FROM ({asked}) WHERE prompt = 'bad'"
    ))
    .await;
    assert_eq!(rows.matches("too long").count(), 2, "{rows}");
}
