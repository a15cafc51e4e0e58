//! Models as tables.

use super::fake::Fake;
use super::{collect, failure, session, value};

#[tokio::test]
async fn a_model_is_created_described_asked_and_dropped() {
    let fake = Fake::quick();
    let ctx = session(&fake, 1).await;
    let create = "CREATE EXTERNAL TABLE weak STORED AS MODEL LOCATION 'models/weak' \
                  OPTIONS (device 'cuda:0')";
    collect(&ctx, create).await.unwrap();
    let facts = super::rows(&ctx, "SELECT * FROM weak").await;
    assert_eq!(facts, ["weak|models/weak|fake|fp32|4096|100|cuda:0|00||"]);
    let call = "SELECT perplexity('weak', messages, 'abc')['perplexity'] FROM t LIMIT 1";
    assert_eq!(value(&ctx, call).await, "3.0");
    assert_eq!(fake.calls(), 0);

    collect(&ctx, "DROP TABLE weak").await.unwrap();
    assert!(
        failure(&ctx, call)
            .await
            .contains("no model is called 'weak'")
    );
}

#[tokio::test]
async fn replacing_a_model_keeps_the_new_one() {
    let fake = Fake::quick();
    let ctx = session(&fake, 1).await;
    for location in ["one", "two"] {
        let create =
            format!("CREATE OR REPLACE EXTERNAL TABLE weak STORED AS MODEL LOCATION '{location}'");
        collect(&ctx, &create).await.unwrap();
    }
    assert_eq!(value(&ctx, "SELECT location FROM weak").await, "two");
    let call = "SELECT perplexity('weak', messages, 'abc')['perplexity'] FROM t LIMIT 1";
    assert_eq!(value(&ctx, call).await, "3.0");
}

#[tokio::test]
async fn a_model_that_cannot_be_opened_is_not_registered() {
    let fake = Fake::quick();
    let ctx = session(&fake, 1).await;
    let create = "CREATE EXTERNAL TABLE weak STORED AS MODEL LOCATION 'missing'";
    assert!(
        failure(&ctx, create)
            .await
            .contains("no model folder missing")
    );
    let columns = "CREATE EXTERNAL TABLE weak (a INT) STORED AS MODEL LOCATION 'x'";
    assert!(failure(&ctx, columns).await.contains("declare none"));
    assert!(failure(&ctx, "SELECT * FROM weak").await.contains("weak"));
}
