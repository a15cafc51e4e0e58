//! The Hugging Face folder: shards that equal the table, a card that describes them, and
//! the way back by import.

use std::path::Path;

use datafusion::prelude::ParquetReadOptions;
use serde_json::{Value, json};
use usermirror::export::{Exported, Format, Options, export};
use usermirror::generate::{generate, world::World};
use usermirror::import::{Form, import};
use usermirror::ingest::ingest;
use usermirror::run::{self, Plan, Step, run};
use usermirror::session::Session;

use crate::import::{pair, write};
use crate::support::{dataset, rows, session, strict, texts};

fn shards_of(rows: usize) -> Options {
    Options {
        shard_rows: rows,
        ..Options::default()
    }
}

fn names(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).unwrap();
    let mut names: Vec<_> = entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

/// A lake with 25 imported pairs.
async fn pairs(folder: &Path) -> Session {
    let file = folder.join("pairs.jsonl");
    write(&file, &(0..25).map(|i| pair(i, 4)).collect::<Vec<_>>());
    let session = session(&folder.join("lake")).await;
    import(&session, Form::Preferences, &file).await.unwrap();
    session
}

#[tokio::test]
async fn shards_hold_the_table_and_replace_those_of_an_earlier_export() {
    let folder = tempfile::tempdir().unwrap();
    let session = pairs(folder.path()).await;
    let (to, data) = (folder.path().join("out"), folder.path().join("out/data"));
    let exported = export(&session, Format::Messages, &to, &shards_of(10))
        .await
        .unwrap();
    assert_eq!((exported.rows, exported.shards), (25, 3));
    let expected = [
        "train-00000-of-00003.parquet",
        "train-00001-of-00003.parquet",
        "train-00002-of-00003.parquet",
    ];
    assert_eq!(names(&data), expected);

    let script = session.scripts.file("sql/export/messages.sql").unwrap();
    let table = script.run(&session.ctx).await.unwrap().unwrap();
    let table = texts(&table.collect().await.unwrap());
    let mut read = vec![];
    for (name, rows) in expected.iter().zip([10, 10, 5]) {
        let path = data.join(name);
        let shard = session
            .ctx
            .read_parquet(path.to_str().unwrap(), ParquetReadOptions::default())
            .await
            .unwrap();
        let shard = texts(&shard.collect().await.unwrap());
        assert_eq!(shard.len(), rows);
        read.extend(shard);
    }
    assert_eq!(read, table);

    // A killed export leaves a part, the user something else.
    std::fs::write(data.join(".partial-00007"), "half").unwrap();
    std::fs::write(data.join("notes.txt"), "mine").unwrap();
    export(&session, Format::Trl, &to, &Options::default())
        .await
        .unwrap();
    assert_eq!(names(&data), ["notes.txt", "train-00000-of-00001.parquet"]);
}

/// The block YAML of a card's head as JSON: maps, lists and plain scalars.
fn yaml(card: &str) -> Value {
    let head = card
        .strip_prefix("---\n")
        .unwrap()
        .split("\n---\n")
        .next()
        .unwrap();
    let mut lines = vec![];
    for line in head.lines() {
        let text = line.trim_start_matches(' ');
        lines.push((line.len() - text.len(), text.to_owned()));
    }
    let mut at = 0;
    let value = block(&mut lines, &mut at);
    assert_eq!(
        at,
        lines.len(),
        "{:?} does not belong to its block",
        lines.get(at)
    );
    value
}

fn block(lines: &mut [(usize, String)], at: &mut usize) -> Value {
    let indent = lines[*at].0;
    if lines[*at].1.starts_with("- ") {
        let mut list = vec![];
        while *at < lines.len() && lines[*at].0 == indent && lines[*at].1.starts_with("- ") {
            lines[*at] = (indent + 2, lines[*at].1[2..].to_owned());
            list.push(block(lines, at));
        }
        return Value::Array(list);
    }
    if !lines[*at].1.contains(": ") && !lines[*at].1.ends_with(':') {
        *at += 1;
        return scalar(&lines[*at - 1].1);
    }
    let mut map = serde_json::Map::new();
    while *at < lines.len() && lines[*at].0 == indent && !lines[*at].1.starts_with("- ") {
        let (key, value) = lines[*at].1.split_once(':').unwrap();
        let (key, value) = (key.to_owned(), value.trim().to_owned());
        *at += 1;
        let value = if value.is_empty() {
            block(lines, at)
        } else {
            scalar(&value)
        };
        assert!(
            map.insert(key.clone(), value).is_none(),
            "{key} stands twice"
        );
    }
    Value::Object(map)
}

fn scalar(text: &str) -> Value {
    text.parse::<u64>()
        .map_or_else(|_| json!(text), |number| json!(number))
}

#[tokio::test]
async fn pairs_are_exported_in_every_form() {
    let folder = tempfile::tempdir().unwrap();
    let session = pairs(folder.path()).await;
    for format in [Format::Trl, Format::Messages, Format::Sft] {
        let to = folder.path().join(format!("{format:?}"));
        let exported = export(&session, format, &to, &Options::default())
            .await
            .unwrap();
        assert_eq!(exported.rows, 25, "{format:?}");
    }
}

#[tokio::test]
async fn the_card_describes_the_files() {
    let folder = tempfile::tempdir().unwrap();
    let session = pairs(folder.path()).await;
    let to = folder.path().join("out");
    let options = Options {
        license: "cc-by-4.0".to_owned(),
        shard_rows: 20,
    };
    let Exported {
        row_bytes,
        file_bytes,
        ..
    } = export(&session, Format::Messages, &to, &options)
        .await
        .unwrap();
    let card = std::fs::read_to_string(to.join("README.md")).unwrap();
    let head = yaml(&card);
    assert_eq!(head["license"], "cc-by-4.0");
    assert_eq!(head["size_categories"], json!(["n<1K"]));
    assert_eq!(
        head["configs"][0]["data_files"],
        json!([{"split": "train", "path": "data/train-*"}])
    );
    let info = &head["dataset_info"];
    assert_eq!(
        info["splits"],
        json!([{"name": "train", "num_bytes": row_bytes, "num_examples": 25}])
    );
    assert_eq!(info["dataset_size"], row_bytes);
    assert_eq!(info["download_size"], file_bytes);
    let size: u64 = names(&to.join("data"))
        .iter()
        .map(|name| std::fs::metadata(to.join("data").join(name)).unwrap().len())
        .sum();
    assert_eq!(file_bytes, size);
    let text = |name: &str| json!({"name": name, "dtype": "string"});
    let messages = [text("role"), text("content")];
    assert_eq!(
        info["features"],
        json!([
            text("dataset"),
            text("user_id"),
            text("item_id"),
            {"name": "timestamp", "dtype": "timestamp[us]"},
            {"name": "messages_chosen", "list": messages},
            {"name": "messages_rejected", "list": messages},
            {"name": "impression_list", "list": "string"},
            {"name": "item_pos", "dtype": "int64"},
        ])
    );
    for line in [
        "maximum length to 8,192 tokens",
        "| ml-1m | 4 | 25 |",
        "| import preferences | preferences | 25 |",
        "| seed | 42 | import preferences |",
    ] {
        assert!(card.contains(line), "no '{line}' in:\n{card}");
    }

    let broken = Options {
        license: "other\nconfigs: []".to_owned(),
        ..Options::default()
    };
    let error = export(&session, Format::Trl, &to, &broken)
        .await
        .unwrap_err();
    assert_eq!(error.exit_code(), 2);
}

const SCENARIO: &str =
    "SELECT dataset, split, user_id, item_id, arrow_cast(ts, 'Timestamp(Microsecond, None)'),
       exposure, truth, choice_count, profile, history, options, messages
FROM scenarios";

#[tokio::test(flavor = "multi_thread")]
async fn exported_evaluation_scenarios_come_back_equal() {
    let folder = tempfile::tempdir().unwrap();
    let (raw, to) = (folder.path().join("raw"), folder.path().join("out"));
    let ours = session(&folder.path().join("ours")).await;
    generate(&ours, &dataset("movielens"), &World::new(60, 7), &raw)
        .await
        .unwrap();
    ingest(&ours, &strict("movielens", &raw)).await.unwrap();
    ours.parameters.set("scenarios", "100").unwrap();
    ours.parameters.set("eval_share", "0.5").unwrap();
    let plan = Plan {
        datasets: vec![dataset("movielens")],
        work: Plan::steps(Step::Scenarios, Step::Scenarios),
        select: "uncertainty".to_owned(),
    };
    run(&ours, &plan, &run::Options::default()).await.unwrap();
    let exported = export(&ours, Format::Evaluation, &to, &shards_of(7))
        .await
        .unwrap();
    assert!(exported.shards > 1);

    let theirs = session(&folder.path().join("theirs")).await;
    import(&theirs, Form::Evaluation, &to).await.unwrap();
    let order = "ORDER BY user_id, ts, item_id";
    let sent = rows(&ours, &format!("{SCENARIO} WHERE split = 'eval' {order}")).await;
    assert_eq!(sent.len(), exported.rows);
    assert_eq!(rows(&theirs, &format!("{SCENARIO} {order}")).await, sent);

    // They can stand beside scenarios of one's own.
    import(&ours, Form::Evaluation, &to).await.unwrap();
    let count = rows(&ours, "SELECT count(*), count(row) FROM scenarios").await;
    assert_eq!(count, [[(100 + sent.len()).to_string(), "100".to_owned()]]);
}

#[tokio::test]
async fn exported_pairs_come_back_equal() {
    let folder = tempfile::tempdir().unwrap();
    let ours = pairs(folder.path()).await;
    let to = folder.path().join("out");
    export(&ours, Format::Messages, &to, &shards_of(10))
        .await
        .unwrap();
    let theirs = session(&folder.path().join("theirs")).await;
    import(&theirs, Form::Preferences, &to).await.unwrap();
    for query in [
        "SELECT scenario_id, dataset, user_id, item_id, ts, exposure, truth, choice_count,
                rejected_behavior, prompt, chosen, rejected FROM preferences ORDER BY scenario_id",
        &format!("{SCENARIO} ORDER BY scenario_id"),
    ] {
        let sent = rows(&ours, query).await;
        assert_eq!(sent.len(), 25);
        assert_eq!(rows(&theirs, query).await, sent);
    }
}
