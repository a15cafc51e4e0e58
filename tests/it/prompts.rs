//! What a model is shown, word for word, for every dataset.
//!
//! `UPDATE_GOLDEN=1 cargo test --test it prompts` writes the golden files anew.

use std::path::Path;

use usermirror::generate::{generate, world::World};
use usermirror::ingest::{Source, ingest};
use usermirror::run::{Options, Plan, Step, run};

use crate::support::{dataset, rows, session, strict};

/// Every dataset there is; those that come in variants with an invented one.
const DATASETS: [&str; 8] = [
    "amazon/Demo",
    "goodreads/demo",
    "kuairec2",
    "lastfm",
    "mind",
    "mobilerec",
    "movielens",
    "steam",
];

/// Words that tell of a missing value which was written out.
const LEAKS: [&str; 12] = [
    "None", "NaN", "NULL", "null", "UNKNOWN", "-124", "()", "[]", "  ", ", ,", ",,", "&amp;",
];

#[tokio::test(flavor = "multi_thread")]
async fn every_dataset_goes_from_raw_files_to_prompts() {
    let folder = tempfile::tempdir().unwrap();
    let world = World::new(200, 5);
    let known = session(&folder.path().join("lake")).await;
    let known = known.scripts.datasets().unwrap();
    let folders: Vec<_> = DATASETS
        .map(|name| dataset(name).folder().to_owned())
        .into();
    assert_eq!(folders, known, "a dataset without a golden prompt");
    for name in DATASETS {
        let key = dataset(name).key();
        let conversations = conversations(&folder.path().join(&key), name, &world).await;
        for [_, prompt] in &conversations {
            for leak in LEAKS {
                assert!(!prompt.contains(leak), "{name}: {leak:?} in\n{prompt}");
            }
        }
        let [system, user] = &conversations[0];
        compare(&key, &format!("system:\n{system}\n\nuser:\n{user}\n"));
    }
}

/// System and user messages of some scenarios of dataset `name`, the longest exposure first.
async fn conversations(folder: &Path, name: &str, world: &World) -> Vec<[String; 2]> {
    let raw = folder.join("raw");
    let session = session(&folder.join("lake")).await;
    generate(&session, &dataset(name), world, &raw)
        .await
        .unwrap();
    let source = Source {
        strict: false,
        ..strict(name, &raw)
    };
    let outcome = ingest(&session, &source).await.unwrap();
    for account in &outcome.accounts {
        let dropped: i64 = account.dropped.iter().map(|(.., rows)| rows).sum();
        assert_eq!(account.read, account.kept + dropped, "{name}: {account:?}");
    }
    session.parameters.set("style", "full").unwrap();
    session.parameters.set("scenarios", "200").unwrap();
    let plan = Plan {
        datasets: vec![dataset(name)],
        work: Plan::steps(Step::Scenarios, Step::Scenarios),
        select: "uncertainty".to_owned(),
    };
    run(&session, &plan, &Options::default()).await.unwrap();
    let messages = rows(
        &session,
        "SELECT messages[1]['content'], messages[2]['content'] FROM scenarios
         ORDER BY choice_count DESC, scenario_id",
    )
    .await;
    assert!(messages.len() >= 50, "{name}: {} scenarios", messages.len());
    let pairs = messages.into_iter().map(|row| row.try_into().unwrap());
    pairs.collect()
}

fn compare(key: &str, prompt: &str) {
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/prompts");
    let file = golden.join(format!("{key}.txt"));
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::create_dir_all(&golden).unwrap();
        std::fs::write(&file, prompt).unwrap();
    }
    assert_eq!(std::fs::read_to_string(&file).unwrap(), prompt, "{key}");
}
