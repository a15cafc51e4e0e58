//! What a model is shown, word for word.
//!
//! `UPDATE_GOLDEN=1 cargo test --test it prompts` writes the golden files anew.

use std::path::Path;

use usermirror::generate::{generate, world::World};
use usermirror::ingest::ingest;
use usermirror::run::{Plan, Step, run};

use crate::support::{rows, session};

#[tokio::test(flavor = "multi_thread")]
async fn a_movielens_prompt_reads_as_its_golden_file() {
    let folder = tempfile::tempdir().unwrap();
    let raw = folder.path().join("raw");
    let session = session(&folder.path().join("lake")).await;
    let world = World::new(30, 5);
    generate(&session, "movielens", None, &world, &raw)
        .await
        .unwrap();
    ingest(&session, "movielens", &raw, true).await.unwrap();
    session.parameters.set("style", "full").unwrap();
    session.parameters.set("scenarios", "3").unwrap();
    let plan = Plan {
        datasets: vec!["movielens".to_owned()],
        until: Step::Scenarios,
        select: "uncertainty".to_owned(),
    };
    run(&session, &plan).await.unwrap();
    let messages = rows(
        &session,
        "SELECT messages[1]['content'], messages[2]['content'] FROM scenarios
         ORDER BY scenario_id LIMIT 1",
    )
    .await;
    let prompt = format!("system:\n{}\n\nuser:\n{}\n", messages[0][0], messages[0][1]);

    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/prompts/movielens.txt");
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(&file, &prompt).unwrap();
    }
    assert_eq!(std::fs::read_to_string(&file).unwrap(), prompt);
}
