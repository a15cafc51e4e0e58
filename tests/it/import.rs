//! Published work becomes our tables: what is taken, and what is put aside.

use std::path::Path;

use serde_json::{Value, json};
use tempfile::TempDir;
use usermirror::import::{Form, import};
use usermirror::session::Session;

use crate::support::{rows, session};

/// Scene `i` with `choices` options as it is published, the chosen one at `i % choices`.
pub fn scene(i: usize, choices: usize) -> Value {
    let items: Vec<_> = (0..choices).map(|j| format!("item {i}.{j}")).collect();
    let texts = (0..choices).map(|j| format!("Title: {i}.{j}\nGenre: drama\n"));
    json!({
        "text": {
            "action_list": texts.collect::<Vec<_>>(),
            "history": format!("A film seen 3 days ago\nTitle: old {i}\n"),
            "profile": format!("Age: {i}"),
        },
        "user_id": i,
        "item_id": items[i % choices],
        "timestamp": 978_300_760_000_u64 + i as u64,
        "item_pos": i % choices,
        "choice_cnt": choices,
        "dataset": "ml-1m",
        "impression_list": items,
    })
}

/// Pair `i` as it is published: two conversations that differ in their last message.
pub fn pair(i: usize, choices: usize) -> Value {
    let scene = scene(i, choices);
    let texts = scene["text"]["action_list"].as_array().unwrap();
    let options: Vec<_> = texts
        .iter()
        .enumerate()
        .map(|(j, text)| format!("[{}] {}", letter(j), text.as_str().unwrap()))
        .collect();
    let question = format!(
        "# User Profile\nAge: {i}\n\n## History\nfirst\n\nsecond\n\n# Exposure List\n{}\n",
        options.join("\n")
    );
    let conversation = |place: usize| {
        json!([
            {"content": "Emulate a user.", "role": "system"},
            {"content": question, "role": "user"},
            {"content": format!("Thought:\nof {place}\nBehavior: [{}]", letter(place)), "role": "assistant"},
        ])
    };
    let mut pair = scene.clone();
    for key in ["text", "choice_cnt"] {
        pair.as_object_mut().unwrap().remove(key);
    }
    pair["messages_chosen"] = conversation(i % choices);
    pair["messages_rejected"] = conversation((i + 1) % choices);
    pair
}

pub fn letter(place: usize) -> char {
    char::from(b'A' + u8::try_from(place).unwrap())
}

pub fn write(file: &Path, values: &[Value]) {
    std::fs::create_dir_all(file.parent().unwrap()).unwrap();
    let lines: String = values.iter().map(|value| format!("{value}\n")).collect();
    std::fs::write(file, lines).unwrap();
}

pub async fn lake(folder: &TempDir) -> Session {
    session(&folder.path().join("lake")).await
}

#[tokio::test]
async fn an_evaluation_set_becomes_scenarios_with_our_instructions() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("eval.jsonl");
    let mut unknown = scene(2, 4);
    unknown.as_object_mut().unwrap().remove("impression_list");
    unknown["timestamp"] = json!("2001-01-01 10:00:00");
    write(&file, &[scene(6, 5), unknown]);
    let session = lake(&folder).await;
    session.parameters.set("style", "full").unwrap();
    let imported = import(&session, Form::Evaluation, &file).await.unwrap();
    assert_eq!(imported.tables, [("scenarios".to_owned(), 2)]);

    let found = rows(
        &session,
        "SELECT dataset, split, user_id, item_id, CAST(ts AS TEXT), array_to_string(exposure, ','),
                truth, choice_count, options, messages[2]['content'],
                messages[1]['content'] LIKE 'You play one particular user%'
         FROM scenarios WHERE user_id = '6'",
    )
    .await;
    let options = "[A] Title: 6.0 Genre: drama\n[B] Title: 6.1 Genre: drama\n\
                   [C] Title: 6.2 Genre: drama\n[D] Title: 6.3 Genre: drama\n\
                   [E] Title: 6.4 Genre: drama";
    let prompt = format!(
        "## Profile\nAge: 6\n\n## History\nA film seen 3 days ago\nTitle: old 6\n\n## Exposure\n{options}"
    );
    assert_eq!(
        found,
        [[
            "ml-1m",
            "eval",
            "6",
            "item 6.1",
            "2000-12-31T22:12:40.006",
            "item 6.0,item 6.1,item 6.2,item 6.3,item 6.4",
            "B",
            "5",
            options,
            &prompt,
            "true"
        ]]
    );
    // Where only the chosen item's id is published, the others are unknown, not invented.
    let unknown = rows(
        &session,
        "SELECT array_to_string(exposure, ',', '?'), truth, CAST(ts AS TEXT)
         FROM scenarios WHERE user_id = '2'",
    )
    .await;
    assert_eq!(unknown, [["?,?,item 2.2,?", "C", "2001-01-01T10:00:00"]]);
}

#[tokio::test]
async fn a_scenario_keeps_its_id_and_other_scenarios_stay() {
    let folder = tempfile::tempdir().unwrap();
    let (first, second) = (folder.path().join("a.jsonl"), folder.path().join("b.jsonl"));
    write(&first, &[scene(1, 5), scene(2, 5)]);
    let mut renewed = scene(2, 5);
    renewed["text"]["profile"] = json!("Age: unknown");
    write(&second, &[renewed, scene(3, 5)]);
    let session = lake(&folder).await;
    let ids = "SELECT scenario_id FROM scenarios ORDER BY user_id";
    import(&session, Form::Evaluation, &first).await.unwrap();
    let before = rows(&session, ids).await;
    session.parameters.set("seed", "7").unwrap();
    import(&session, Form::Evaluation, &second).await.unwrap();
    let after = rows(&session, ids).await;
    assert_eq!(after[..2], before);
    let profiles = "SELECT profile FROM scenarios ORDER BY user_id";
    assert_eq!(
        rows(&session, profiles).await,
        [["Age: 1"], ["Age: unknown"], ["Age: 3"]]
    );
}

#[tokio::test]
async fn bad_rows_of_a_set_are_kept_aside_with_their_reason() {
    let changes: [(&str, Value, &str); 11] = [
        ("dataset", Value::Null, "no dataset"),
        ("user_id", json!(""), "no user_id"),
        ("item_id", Value::Null, "no item_id"),
        ("timestamp", Value::Null, "no timestamp"),
        ("timestamp", json!("soon"), "timestamp is not a time"),
        (
            "text",
            Value::Null,
            "no text.action_list (a publisher may withhold the texts of a dataset)",
        ),
        (
            "choice_cnt",
            json!(4),
            "choice_cnt is not the number of entries of text.action_list",
        ),
        (
            "item_pos",
            json!(5),
            "item_pos (from 0) is outside text.action_list",
        ),
        (
            "item_pos",
            json!(0),
            "impression_list does not have item_id at item_pos",
        ),
        (
            "impression_list",
            json!(["x"]),
            "impression_list is not as long as text.action_list",
        ),
        (
            "text",
            json!({"action_list": ["only one"]}),
            "text.action_list has not 2 to 26 entries",
        ),
    ];
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("eval.jsonl");
    let mut scenes = vec![scene(1, 5), scene(1, 5)];
    for (i, (key, value, _)) in changes.iter().enumerate() {
        let mut changed = scene(5 * i + 2, 5);
        changed[key] = value.clone();
        scenes.push(changed);
    }
    write(&file, &scenes);
    let session = lake(&folder).await;
    let imported = import(&session, Form::Evaluation, &file).await.unwrap();
    assert_eq!((imported.account.read, imported.account.kept), (13, 1));

    let found = rows(
        &session,
        "SELECT line, reason FROM import.quarantine WHERE raw LIKE '{%' ORDER BY line",
    )
    .await;
    let same = "an earlier row has the same dataset, user_id, item_id and timestamp";
    let mut expected = vec![["2".to_owned(), same.to_owned()]];
    for (i, (.., reason)) in changes.iter().enumerate() {
        expected.push([(i + 3).to_string(), (*reason).to_owned()]);
    }
    assert_eq!(found, expected);
}

#[tokio::test]
async fn a_set_without_a_good_row_is_refused_and_nothing_is_written() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("eval.jsonl");
    std::fs::write(&file, "{\"dataset\": \"ml-1m\"}\n{\"cut\n").unwrap();
    let session = lake(&folder).await;
    let error = import(&session, Form::Evaluation, &file).await.unwrap_err();
    let error = error.to_string();
    assert!(error.contains("none of the 2 rows can be taken"), "{error}");
    assert!(error.contains("1 × not a JSON object"), "{error}");
    assert!(session.ctx.table("scenarios").await.is_err());

    let error = import(&session, Form::Pipeline, folder.path())
        .await
        .unwrap_err();
    assert_eq!(error.exit_code(), 2);
    assert!(
        error.to_string().contains("datasets/DATASET_train.jsonl"),
        "{error}"
    );
}

#[tokio::test]
async fn published_pairs_become_preferences_and_scenarios() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("pairs.jsonl");
    let mut anonymous = pair(7, 3);
    for key in [
        "user_id",
        "item_id",
        "timestamp",
        "impression_list",
        "item_pos",
    ] {
        anonymous.as_object_mut().unwrap().remove(key);
    }
    let mut withheld = pair(1, 4);
    for key in ["messages_chosen", "messages_rejected"] {
        withheld[key] = json!([withheld[key][2]]);
    }
    let mut moved = pair(2, 4);
    moved["item_pos"] = json!(1);
    moved["impression_list"] = Value::Null;
    let mut beyond = pair(3, 4);
    beyond["messages_rejected"][2]["content"] = json!("Thought:\nBehavior: [G]");
    let mut other = pair(5, 4);
    other["messages_rejected"][1]["content"] = json!("another prompt");
    write(
        &file,
        &[pair(6, 4), anonymous, withheld, moved, beyond, other],
    );
    let session = lake(&folder).await;
    import(&session, Form::Preferences, &file).await.unwrap();

    let preferences = rows(
        &session,
        "SELECT user_id, truth, choice_count, rejected_behavior, cardinality(prompt), chosen, rejected
         FROM preferences ORDER BY user_id NULLS LAST",
    )
    .await;
    assert_eq!(
        preferences,
        [
            [
                "6",
                "C",
                "4",
                "D",
                "2",
                "Thought:\nof 2\nBehavior: [C]",
                "Thought:\nof 3\nBehavior: [D]"
            ],
            [
                "NULL",
                "B",
                "3",
                "C",
                "2",
                "Thought:\nof 1\nBehavior: [B]",
                "Thought:\nof 2\nBehavior: [C]"
            ],
        ]
    );
    let scenarios = rows(
        &session,
        "SELECT s.split, s.profile, s.history, s.options LIKE '[A] Title: %[C] Title: %',
                s.messages = p.prompt
         FROM scenarios AS s JOIN preferences AS p ON p.scenario_id = s.scenario_id
         ORDER BY s.user_id NULLS LAST",
    )
    .await;
    assert_eq!(
        scenarios,
        [
            ["train", "Age: 6", "first\n\nsecond", "true", "true"],
            ["train", "Age: 7", "first\n\nsecond", "true", "true"],
        ]
    );
    let reasons = rows(
        &session,
        "SELECT reason FROM import.quarantine ORDER BY line",
    )
    .await;
    assert_eq!(
        reasons,
        [
            [
                "no message of a user before the answer (a publisher may withhold the prompts of a dataset)"
            ],
            ["messages_chosen does not end in the letter of item_pos"],
            ["a behavior is outside the options"],
            ["messages_chosen and messages_rejected have different prompts"],
        ]
    );
}
