//! Published work becomes our tables: what is taken, what is put aside, what is refused.

use std::collections::BTreeMap;
use std::path::Path;

use datafusion::arrow::array::AsArray;
use datafusion::arrow::datatypes::{Float64Type, Int64Type};
use serde_json::{Value, json};
use tempfile::TempDir;
use usermirror::import::{Form, import};
use usermirror::run::{Plan, Step, run};
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

fn letter(place: usize) -> char {
    char::from(b'A' + u8::try_from(place).unwrap())
}

pub fn write(file: &Path, values: &[Value]) {
    std::fs::create_dir_all(file.parent().unwrap()).unwrap();
    let lines: String = values.iter().map(|value| format!("{value}\n")).collect();
    std::fs::write(file, lines).unwrap();
}

async fn lake(folder: &TempDir) -> Session {
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

/// The files of a published project, each a name and its rows.
type Project = BTreeMap<&'static str, Vec<Value>>;

const SCENES: &str = "datasets/ml-1m_train.jsonl";
const DECISIONS: &str = "decisions/ml-1m_decisions_strong.jsonl";
const PROBABILITIES: &str = "probs/ml-1m_probs_strong.jsonl";

/// The answers that a model gave to scene `i`, as a batch returns them.
fn batch(i: usize, texts: &[String]) -> Value {
    let answer = |text: &String| {
        json!({"message": {"role": "assistant", "content": format!("{text}\nBehavior: [A]")},
               "finish_reason": "stop"})
    };
    let choices: Vec<_> = texts.iter().map(answer).collect();
    json!({"id": format!("batch-{i}"), "custom_id": format!("ml-1m-{i}"), "error": null,
           "response": {"status_code": 200, "body": {"model": "a-model", "choices": choices}}})
}

/// A project of six scenes, two decisions a scene by each model; `scored` says how likely
/// the options are after each.
fn project() -> Project {
    let mut project = Project::new();
    let mut scenes = vec![];
    for i in 0..6 {
        let mut scene = scene(i, 3);
        scene.as_object_mut().unwrap().remove("impression_list");
        scenes.push(scene);
    }
    for (source, decisions, probabilities) in [
        ("strong", DECISIONS, PROBABILITIES),
        (
            "weak",
            "decisions/ml-1m_decisions_weak.jsonl",
            "probs/ml-1m_probs_weak.jsonl",
        ),
    ] {
        for (i, scene) in scenes.iter().enumerate() {
            let texts: Vec<_> = (0..2)
                .map(|j| format!("Thought:\n{source} {i} {j}"))
                .collect();
            // Answers arrive in any order.
            project
                .entry(decisions)
                .or_default()
                .insert(0, batch(i, &texts));
            project.entry(probabilities).or_default().push(json!({
                "user_id": scene["user_id"], "item_id": scene["item_id"], "decision_list": texts,
                "choice": [{"A": 0.7, "B": 0.2, "C": 0.1}, {"C": 0.75, "A": 0.25}],
            }));
        }
    }
    project.insert(SCENES, scenes);
    project
}

fn write_project(folder: &Path, project: &Project) {
    for (file, values) in project {
        write(&folder.join(file), values);
    }
}

#[tokio::test]
async fn a_project_is_joined_by_its_keys() {
    let folder = tempfile::tempdir().unwrap();
    let mut project = project();
    project.insert("datasets/ml-1m_eval.jsonl", vec![scene(1, 3)]);
    let failed = &mut project.get_mut(DECISIONS).unwrap()[1];
    assert_eq!(failed["custom_id"], "ml-1m-4");
    failed["response"] = Value::Null;
    failed["error"] = json!({"code": "timeout"});
    let scores = project.get_mut(PROBABILITIES).unwrap();
    scores[4]["decision_list"] = json!([]);
    scores[4]["choice"] = Value::Null;
    scores[2]["choice"] = json!([{"A": 0.3, "B": 0.1}, {"A": 0.5, "Z": 0.5}]);
    write_project(folder.path(), &project);
    let session = lake(&folder).await;
    let imported = import(&session, Form::Pipeline, folder.path())
        .await
        .unwrap();
    let tables = [("scenarios", 7), ("decisions", 23), ("scores", 23)];
    assert_eq!(
        imported.tables,
        tables.map(|(name, rows)| (name.to_owned(), rows))
    );

    let decisions = rows(
        &session,
        "SELECT s.user_id, d.source, d.draw, d.text, d.letter, d.finish, d.model, d.error
         FROM decisions AS d JOIN scenarios AS s ON s.scenario_id = d.scenario_id
         WHERE s.split = 'train' AND s.user_id IN ('3', '4') AND d.source = 'strong'
         ORDER BY s.user_id, d.draw",
    )
    .await;
    let error = "the request failed: {\"code\":\"timeout\"}";
    assert_eq!(
        decisions,
        [
            [
                "3",
                "strong",
                "0",
                "Thought:\nstrong 3 0",
                "A",
                "behavior",
                "a-model",
                "NULL"
            ],
            [
                "3",
                "strong",
                "1",
                "Thought:\nstrong 3 1",
                "A",
                "behavior",
                "a-model",
                "NULL"
            ],
            ["4", "strong", "0", "NULL", "NULL", "NULL", "NULL", error],
        ]
    );
    let scores = rows(
        &session,
        "SELECT s.user_id, c.draw, c.probs, c.accepted = (c.behavior = s.truth), c.error
         FROM scores AS c JOIN scenarios AS s ON s.scenario_id = c.scenario_id
         WHERE s.user_id IN ('2', '3', '4') AND c.source = 'strong' ORDER BY s.user_id, c.draw",
    )
    .await;
    assert_eq!(
        scores,
        [
            [
                "2",
                "0",
                "NULL",
                "NULL",
                "the letters' probabilities add up to 0.4"
            ],
            [
                "2",
                "1",
                "NULL",
                "NULL",
                "probability of Z, which is none of the 3 options"
            ],
            ["3", "0", "[0.7, 0.2, 0.1]", "true", "NULL"],
            ["3", "1", "[0.25, 0.0, 0.75]", "true", "NULL"],
            ["4", "0", "NULL", "NULL", error],
        ]
    );
    // The measure of what is missing is the user's to set.
    session.parameters.set("letter_mass", "0.3").unwrap();
    import(&session, Form::Pipeline, folder.path())
        .await
        .unwrap();
    let errors = "SELECT count(*) FROM scores WHERE error IS NOT NULL";
    assert_eq!(rows(&session, errors).await, [["2"]]);
}

/// A change that breaks the match of a project's files, and what must be told.
type Break = (fn(&mut Project), &'static [&'static str]);

#[tokio::test]
async fn files_that_do_not_match_are_refused_whole() {
    let breaks: [Break; 8] = [
        (
            |project| project.get_mut(SCENES).unwrap()[3]["item_pos"] = json!(3),
            &[
                "10_scenes_sound",
                "| 4    | item_pos (from 0) is outside text.action_list",
            ],
        ),
        (
            |project| project.get_mut(DECISIONS).unwrap()[0]["custom_id"] = json!("ml-1m-6"),
            &["20_decisions_known", "| 1    | ml-1m-6"],
        ),
        (
            |project| project.get_mut(DECISIONS).unwrap()[0]["custom_id"] = json!("ml-100k-5"),
            &["20_decisions_known", "ml-100k-5"],
        ),
        (
            |project| project.get_mut(DECISIONS).unwrap()[1]["custom_id"] = json!("ml-1m-5"),
            &["30_decisions_once", "| 1    | 2          | ml-1m-5"],
        ),
        (
            |project| project.get_mut(PROBABILITIES).unwrap().truncate(5),
            &["40_probabilities_aligned", "| 6    |         | 5"],
        ),
        (
            |project| project.get_mut(PROBABILITIES).unwrap().swap(1, 2),
            &["40_probabilities_aligned", "| 2    | 2       | 1"],
        ),
        (
            |project| project.get_mut(PROBABILITIES).unwrap()[4]["decision_list"][1] = json!("new"),
            &["50_probabilities_of_decisions", "| 5    | 1    | new"],
        ),
        (
            |project| _ = project.remove(DECISIONS),
            &[
                "50_probabilities_of_decisions",
                "| 1    | 0    | Thought: strong 0 0",
            ],
        ),
    ];
    for (change, told) in breaks {
        let folder = tempfile::tempdir().unwrap();
        let mut project = project();
        change(&mut project);
        write_project(folder.path(), &project);
        let session = lake(&folder).await;
        let error = import(&session, Form::Pipeline, folder.path())
            .await
            .unwrap_err();
        let error = error.to_string();
        for part in told {
            assert!(error.contains(part), "{part} is not in:\n{error}");
        }
        for table in ["scenarios", "decisions", "scores"] {
            assert!(
                session.ctx.table(table).await.is_err(),
                "{table} was written"
            );
        }
    }
}

fn plan(from: Step, until: Step) -> Plan {
    Plan {
        datasets: vec![],
        from,
        until,
        select: "uncertainty".to_owned(),
    }
}

#[tokio::test]
async fn a_run_goes_on_from_given_tables_and_never_drops_imported_ones() {
    let folder = tempfile::tempdir().unwrap();
    let session = lake(&folder).await;
    let distill = plan(Step::Distill, Step::Distill);
    let error = run(&session, &distill).await.unwrap_err();
    assert_eq!(error.exit_code(), 2);
    assert!(
        error
            .to_string()
            .contains("no table scenarios to go on from"),
        "{error}"
    );

    write_project(folder.path(), &project());
    import(&session, Form::Pipeline, folder.path())
        .await
        .unwrap();
    run(&session, &distill).await.unwrap();
    let anew = plan(Step::Scenarios, Step::Scenarios);
    let error = run(&session, &anew).await.unwrap_err().to_string();
    assert!(error.contains("holds imported scenarios"), "{error}");
    assert!(error.contains("--from decisions"), "{error}");

    // Scores of another lake's scenarios are noticed.
    let other = tempfile::tempdir().unwrap();
    write(&other.path().join("eval.jsonl"), &[scene(1, 3)]);
    let theirs = lake(&other).await;
    import(&theirs, Form::Evaluation, other.path())
        .await
        .unwrap();
    let path = |lake: &TempDir, table| lake.path().join(format!("lake/{table}.parquet"));
    for table in ["decisions", "scores"] {
        std::fs::copy(path(&folder, table), path(&other, table)).unwrap();
    }
    let theirs = lake(&other).await;
    let error = run(&theirs, &distill).await.unwrap_err().to_string();
    assert!(
        error.contains("sql/checks/given/decisions.sql failed"),
        "{error}"
    );
}

/// One golden scenario: options, truth, and by (source, draw) the probabilities.
struct Golden {
    choices: usize,
    truth: usize,
    draws: BTreeMap<(String, i64), Vec<f64>>,
}

async fn golden(session: &Session) -> BTreeMap<i64, Golden> {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/distill");
    for table in ["scores", "uncertainty"] {
        let sql = format!(
            "CREATE EXTERNAL TABLE golden_{table} STORED AS PARQUET LOCATION '{}'",
            file.join(format!("{table}.parquet")).display()
        );
        session.ctx.sql(&sql).await.unwrap();
    }
    let query =
        "SELECT CAST(scenario AS BIGINT), CAST(choice_count AS BIGINT), letter_index(truth),
                        arrow_cast(source, 'Utf8'), CAST(draw AS BIGINT), probs FROM golden_scores";
    let mut golden = BTreeMap::new();
    for batch in session
        .ctx
        .sql(query)
        .await
        .unwrap()
        .collect()
        .await
        .unwrap()
    {
        let number =
            |column: usize, row| batch.column(column).as_primitive::<Int64Type>().value(row);
        for row in 0..batch.num_rows() {
            let scenario = golden.entry(number(0, row)).or_insert_with(|| Golden {
                choices: usize::try_from(number(1, row)).unwrap(),
                truth: usize::try_from(number(2, row)).unwrap() - 1,
                draws: BTreeMap::new(),
            });
            let source = batch.column(3).as_string::<i32>().value(row).to_owned();
            let probs = batch.column(5).as_list::<i32>().value(row);
            let probs = probs.as_primitive::<Float64Type>().values().to_vec();
            scenario.draws.insert((source, number(4, row)), probs);
        }
    }
    golden
}

/// Writes the golden scenarios as the published pipeline would have left them.
fn write_golden(folder: &Path, golden: &BTreeMap<i64, Golden>) {
    let mut scenes = vec![];
    for (&scenario, found) in golden {
        let mut scene = scene(0, found.choices);
        scene["user_id"] = json!(scenario);
        scene["item_pos"] = json!(found.truth);
        scene["item_id"] = scene["impression_list"][found.truth].clone();
        scenes.push(scene);
    }
    for source in ["strong", "weak"] {
        let (mut decisions, mut scores) = (vec![], vec![]);
        for (i, (scenario, found)) in golden.iter().enumerate() {
            let draws: Vec<_> = found
                .draws
                .iter()
                .filter(|((of, _), _)| of == source)
                .collect();
            let texts: Vec<_> = (0..draws.len())
                .map(|j| format!("{source} {scenario} {j}"))
                .collect();
            let choice = draws.iter().map(|(_, probs)| {
                let letters = probs.iter().enumerate();
                let letters = letters.map(|(j, &p)| (letter(j).to_string(), json!(p)));
                Value::Object(letters.collect())
            });
            decisions.push(batch(i, &texts));
            scores.push(json!({
                "user_id": scenario, "item_id": scenes[i]["item_id"], "decision_list": texts,
                "choice": choice.collect::<Vec<_>>(),
            }));
        }
        write(
            &folder.join(format!("decisions/ml-1m_decisions_{source}.jsonl")),
            &decisions,
        );
        write(
            &folder.join(format!("probs/ml-1m_probs_{source}.jsonl")),
            &scores,
        );
    }
    write(&folder.join(SCENES), &scenes);
}

/// The pairs that `scores` allow, found without SQL: (scenario, chosen draw, rejected
/// source, rejected draw).
async fn pairs(session: &Session) -> Vec<Vec<String>> {
    let scores = rows(
        session,
        "SELECT scenario_id, source, draw, entropy, accepted FROM scores",
    )
    .await;
    let mut by_scenario: BTreeMap<&str, Vec<(f64, &str, i64, bool)>> = BTreeMap::new();
    for row in &scores {
        let score = (
            row[3].parse().unwrap(),
            row[1].as_str(),
            row[2].parse().unwrap(),
            row[4] == "true",
        );
        by_scenario.entry(&row[0]).or_default().push(score);
    }
    let mut pairs = vec![];
    for (scenario, mut scores) in by_scenario {
        scores.sort_by(|a, b| a.partial_cmp(b).unwrap());
        let chosen = scores.iter().find(|score| score.3 && score.1 == "strong");
        let rejected = scores.iter().find(|score| !score.3);
        if let (Some(chosen), Some(rejected)) = (chosen, rejected) {
            pairs.push(vec![
                scenario.to_owned(),
                chosen.2.to_string(),
                rejected.1.to_owned(),
                rejected.2.to_string(),
            ]);
        }
    }
    pairs
}

#[tokio::test(flavor = "multi_thread")]
async fn an_imported_project_distills_to_the_golden_numbers() {
    let folder = tempfile::tempdir().unwrap();
    let session = lake(&folder).await;
    let golden = golden(&session).await;
    write_golden(folder.path(), &golden);
    import(&session, Form::Pipeline, folder.path())
        .await
        .unwrap();
    run(&session, &plan(Step::Distill, Step::Distill))
        .await
        .unwrap();

    session.lake.register(&session.ctx).await.unwrap();
    // Which decisions are accepted is our own draw, so a few other scenarios are explained.
    let apart = rows(
        &session,
        "SELECT count(*) > 1000,
                max(greatest(abs(u.eu_strong - g.eu_strong), abs(u.eu_weak - g.eu_weak),
                             abs(u.tu_strong - g.tu_strong), abs(u.tu_weak - g.tu_weak),
                             abs(u.delta_eu - g.delta_eu))) < 1e-12
         FROM uncertainty AS u
         JOIN scenarios AS s ON s.scenario_id = u.scenario_id
         JOIN golden_uncertainty AS g ON CAST(g.scenario AS TEXT) = s.user_id",
    )
    .await;
    assert_eq!(apart, [["true", "true"]]);

    let expected = pairs(&session).await;
    assert!(expected.len() > 900, "{}", expected.len());
    let preferences = rows(
        &session,
        "SELECT scenario_id, chosen_draw, rejected_source, rejected_draw FROM preferences
         ORDER BY scenario_id",
    )
    .await;
    assert_eq!(preferences, expected);
    let texts = rows(
        &session,
        "SELECT count(*) FROM preferences AS p JOIN scenarios AS s ON s.scenario_id = p.scenario_id
         WHERE p.chosen <> concat('strong ', s.user_id, ' ', p.chosen_draw, chr(10), 'Behavior: [', s.truth, ']')",
    )
    .await;
    assert_eq!(texts, [["0"]]);
}
