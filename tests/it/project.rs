//! The published pipeline's own files: joined by their keys, or refused; and a run that
//! goes on from them.

use std::collections::BTreeMap;
use std::path::Path;

use datafusion::arrow::array::AsArray;
use datafusion::arrow::datatypes::{Float64Type, Int64Type};
use serde_json::{Value, json};
use usermirror::import::{Form, import};
use usermirror::run::{Options, Plan, Step, run};
use usermirror::session::Session;

use crate::import::{lake, letter, scene, write};
use crate::support::rows;

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
        work: Plan::steps(from, until),
        select: "uncertainty".to_owned(),
    }
}

#[tokio::test]
async fn a_run_goes_on_from_given_tables_and_never_drops_imported_ones() {
    let folder = tempfile::tempdir().unwrap();
    let session = lake(&folder).await;
    let distill = plan(Step::Distill, Step::Distill);
    let error = run(&session, &distill, &Options::default())
        .await
        .unwrap_err();
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
    run(&session, &distill, &Options::default()).await.unwrap();
    let anew = plan(Step::Scenarios, Step::Scenarios);
    let error = run(&session, &anew, &Options::default())
        .await
        .unwrap_err()
        .to_string();
    assert!(error.contains("holds imported scenarios"), "{error}");
    assert!(error.contains("by a later --from"), "{error}");

    // Scores of another lake's scenarios are noticed.
    let other = tempfile::tempdir().unwrap();
    write(&other.path().join("eval.jsonl"), &[scene(1, 3)]);
    let theirs = lake(&other).await;
    import(&theirs, Form::Evaluation, other.path())
        .await
        .unwrap();
    for table in ["decisions", "scores"] {
        let place = Path::new("lake").join(table);
        copy(&folder.path().join(&place), &other.path().join(&place));
    }
    let theirs = lake(&other).await;
    let error = run(&theirs, &distill, &Options::default())
        .await
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("sql/checks/given/decisions.sql failed"),
        "{error}"
    );
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
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
    run(
        &session,
        &plan(Step::Distill, Step::Distill),
        &Options::default(),
    )
    .await
    .unwrap();

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
