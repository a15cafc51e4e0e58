//! Evaluation: what is asked, what is kept, and what the printed measures mean.

use usermirror::session::Session;

use crate::jobs::{Place, said, succeeded};
use crate::support::{rows, session, texts};

/// A place with scenarios: of 60 users, at least 5 held out.
fn place() -> Place {
    let place = Place::local();
    succeeded(
        &place
            .run(&["--until", "scenarios", "--set", "scenarios=48"])
            .output()
            .unwrap(),
    );
    place
}

fn evaluate(place: &Place, more: &[&str]) -> String {
    let mut arguments = vec!["evaluate", "--samples", "2"];
    arguments.extend(more);
    place.succeed(&arguments)
}

/// A cell of the first printed table: of `row`, in column `column`.
fn cell(printed: &str, row: &str, column: &str) -> String {
    let table: Vec<Vec<&str>> = printed
        .lines()
        .filter(|line| line.starts_with('|'))
        .map(|line| line.split('|').map(str::trim).collect())
        .collect();
    let place = table[0].iter().position(|name| *name == column).unwrap();
    let (model, method) = row.split_once('/').unwrap();
    let found = table
        .iter()
        .find(|cells| cells[1] == model && cells[2] == method);
    found.unwrap_or_else(|| panic!("no {row} in {printed}"))[place].to_owned()
}

#[test]
fn an_evaluation_asks_each_question_once() {
    let place = place();
    let held_out: usize = place
        .query("SELECT count(*) FROM scenarios WHERE split = 'eval'")
        .parse()
        .unwrap();
    assert!(held_out >= 4, "{held_out}");
    let printed = evaluate(&place, &["--model", "models/weak"]);
    let answers = "SELECT count(*), count(DISTINCT scenario_id) FROM evaluations";
    assert_eq!(place.query(answers), format!("{},{held_out}", 2 * held_out));
    assert_eq!(
        cell(&printed, "weak/decision", "scenarios"),
        held_out.to_string()
    );

    let before = place.rows("evaluations");
    let again = evaluate(&place, &["--model", "models/weak"]);
    assert_eq!(place.rows("evaluations"), before);
    assert_eq!(again, printed);

    // Another model and another method join; what was there stays.
    let printed = evaluate(&place, &["--model", "teacher=models/strong", "--direct"]);
    assert_eq!(place.query(answers), format!("{},{held_out}", 4 * held_out));
    let weak = place.query("SELECT count(*) FROM evaluations WHERE model = 'weak'");
    assert_eq!(weak, (2 * held_out).to_string());
    assert_eq!(cell(&printed, "teacher/direct", "invalid"), "0.0");
    assert_eq!(
        cell(&printed, "random/baseline", "nll"),
        cell(&again, "random/baseline", "nll")
    );
}

#[test]
fn rotated_scenarios_show_the_same_options_elsewhere() {
    let place = place();
    let view = include_str!("../../sql/evaluate/10_shown.sql");
    let shown = place.succeed(&[
        "--set", "rotations=26", "sql", "--format", "csv", "-c", view,
        "-c", "SELECT bool_and(
                   substr(string_to_array(r.options, chr(10))[
                       (letter_index(r.truth) - 1 - r.rotation + r.choice_count) % r.choice_count + 1
                   ], 5) = substr(string_to_array(o.options, chr(10))[letter_index(o.truth)], 5)
                   AND ends_with(r.messages[2]['content'], r.options)
                   AND starts_with(r.options, '[A] ')
               ) AS truth_moved,
               count(DISTINCT r.options) = count(*) AS all_differ,
               count(*) = sum(1.0 * o.choice_count) / max(o.choice_count) AS one_a_place
               FROM shown AS r
               JOIN shown AS o ON o.scenario_id = r.scenario_id AND o.rotation = 0",
    ]);
    assert_eq!(shown.lines().last(), Some("true,true,true"), "{shown}");

    let printed = evaluate(&place, &["--model", "models/weak", "--rotate"]);
    let held_out = "SELECT count(*) FROM scenarios WHERE split = 'eval'";
    assert_eq!(
        cell(&printed, "weak/decision/rotated", "scenarios"),
        place.query(held_out)
    );
    // A letter is turned back to the scenario's own order, and so are the probabilities.
    assert_eq!(
        place.query(
            "SELECT bool_and(letter = letter((place - 1 + rotation) % s.choice_count + 1)),
                    bool_and(hit = (letter = truth)),
                    count(DISTINCT rotation)
             FROM evaluations AS e JOIN scenarios AS s ON s.scenario_id = e.scenario_id
             WHERE letter IS NOT NULL"
        ),
        "true,true,5"
    );
}

#[test]
fn what_a_model_cannot_take_is_left_out_and_counted() {
    let place = place();
    let job = crate::jobs::job() + "weak.max_context = 130\n";
    std::fs::write(place.job(), job).unwrap();
    let output = place.output(&[
        "evaluate",
        place.job().to_str().unwrap(),
        "--model",
        "weak",
        "--samples",
        "1",
    ]);
    let (code, errors) = said(&output);
    assert_eq!(code, Some(3), "{errors}");
    assert!(errors.contains("FROM evaluations"), "{errors}");
    let failed = place.query("SELECT count(*) FROM evaluations WHERE error IS NOT NULL");
    let printed = String::from_utf8_lossy(&output.stdout);
    assert_ne!(failed, "0");
    assert_eq!(cell(&printed, "weak/decision", "failed"), failed);
}

#[test]
fn what_cannot_be_evaluated_is_said_beforehand() {
    let place = Place::local();
    for (arguments, said_of) in [
        (vec!["--model", "models/weak"], "run --until scenarios"),
        (
            vec!["--model", "a=models/weak", "--model", "a=models/strong"],
            "two models are called a",
        ),
        (vec!["--model", "tuned"], "models.tuned.location"),
    ] {
        let mut all = vec!["evaluate"];
        all.extend(arguments);
        let (code, errors) = said(&place.output(&all));
        assert_eq!(code, Some(2), "{errors}");
        assert!(errors.contains(said_of), "{errors}");
    }
    succeeded(&place.run(&["--until", "scenarios"]).output().unwrap());
    let (code, errors) = said(&place.output(&["evaluate", "--model", "weak", "--method", "guess"]));
    assert_eq!(code, Some(2), "{errors}");
    assert!(
        errors.contains("decision, direct, memory, pointwise"),
        "{errors}"
    );
}

/// Scenarios of two options by two users, and by one of the same id in another dataset; a
/// model of which everything is known.
async fn planted(session: &Session) {
    for sql in [
        "CREATE TABLE scenarios AS
         SELECT column1 AS scenario_id, column2 AS user_id, column4 AS dataset, 'eval' AS split,
                CAST(2 AS BIGINT) AS choice_count, column3 AS truth
         FROM (VALUES ('a', 'u', 'A', 'planted'), ('b', 'u', 'B', 'planted'), ('c', 'v', 'A', 'planted'),
                      ('d', 'u', 'A', 'another'))",
        "CREATE TABLE evaluations AS
         SELECT 'm' AS model, 'decision' AS method, column1 AS scenario_id, 0 AS rotation,
                column2 AS draw, letter_index(column3) AS place, column3 AS letter,
                column4 AS hit, column5 AS probs, column6 AS error
         FROM (VALUES
             ('a', 0, 'A', true,  [0.9, 0.1], NULL),
             ('a', 1, 'B', false, [0.7, 0.3], NULL),
             ('b', 0, 'A', false, [0.6, 0.4], NULL),
             ('b', 1, 'A', false, [0.6, 0.4], NULL),
             ('c', 0, 'A', true,  [0.5, 0.5], NULL),
             ('c', 1, NULL, false, NULL, NULL),
             ('d', 0, NULL, NULL, NULL, 'prompt too long'))",
        "CREATE TABLE baselines AS
         SELECT 'half' AS baseline, scenario_id, 0.5 AS hit, 1.5 AS rank, [0.5, 0.5] AS probs
         FROM scenarios",
    ] {
        session.ctx.sql(sql).await.unwrap().collect().await.unwrap();
    }
}

#[tokio::test]
async fn the_measures_are_what_their_definitions_say() {
    let lake = tempfile::tempdir().unwrap();
    let session = session(lake.path()).await;
    planted(&session).await;
    session.parameters.set("against", "half/baseline").unwrap();
    let mut printed = vec![];
    for script in session.scripts.folder("sql/evaluate/report").unwrap() {
        if let Some(table) = script.run(&session.ctx).await.unwrap() {
            printed.push((
                script.stem().to_owned(),
                texts(&table.collect().await.unwrap()),
            ));
        }
    }
    let table = |stem: &str| &printed.iter().find(|(name, _)| name == stem).unwrap().1;

    // Mean distributions: a 0.8, b 0.4 and c 0.5 for the truth. Hits: 1/2, 0 and 1/2.
    let accuracy = table("accuracy");
    let m = accuracy.iter().find(|row| row[0] == "m").unwrap();
    let nll = -(0.8_f64.ln() + 0.4_f64.ln() + 0.5_f64.ln()) / 3.0;
    let brier = (0.08 + 0.72 + 0.5) / 3.0;
    // Bins 0.8 (right), 0.6 (wrong) and 0.5 (a tie, half right): off by 0.2, 0.6 and 0.
    let ece = 100.0 * 0.8 / 3.0;
    let rank = (1.0 + 2.0 + 1.5) / 3.0;
    let expected = ["m", "decision", "2", "3", "1", "33.3"].map(str::to_owned);
    assert_eq!(m[..6], expected);
    let numbers: Vec<f64> = m[8..].iter().map(|cell| cell.parse().unwrap()).collect();
    let invalid = 100.0 / 6.0;
    for (found, expected) in numbers.iter().zip([invalid, nll, brier, ece, rank]) {
        assert!(
            (found - expected).abs() < 0.05,
            "{m:?}: {found} is not {expected}"
        );
    }
    // Users are drawn: (u, u) gives 25 %, (v, v) 50 %.
    assert_eq!(m[6..8], ["25.0", "50.0"].map(str::to_owned));
    let half = accuracy.iter().find(|row| row[0] == "half").unwrap();
    assert_eq!(half[5..8], ["50.0", "50.0", "50.0"].map(str::to_owned));
    assert_eq!(half[2], "3", "users of two datasets are not the same");

    // Only the three scenarios that both have: 1/2, 0 and 1/2 against 1/2 each.
    let differences = table("differences");
    assert_eq!(
        differences[0][3..],
        ["3", "-16.7", "-25.0", "0.0"].map(str::to_owned)
    );
    // Answers A, B, A, A, A for truths A, A, B, B, A.
    assert_eq!(
        table("positions")[0][2..],
        ["80.0 20.0", "60.0 40.0", "20.0"].map(str::to_owned)
    );
}

#[tokio::test]
async fn baselines_learn_nothing_from_the_scenarios_they_are_judged_by() {
    let lake = tempfile::tempdir().unwrap();
    let session = session(lake.path()).await;
    for sql in [
        // Trained at the first place, held out at the second.
        "CREATE TABLE scenarios AS
         SELECT column1 AS scenario_id, column2 AS split, CAST(2 AS BIGINT) AS choice_count,
                column3 AS truth
         FROM (VALUES ('a', 'train', 'A'), ('b', 'train', 'A'), ('c', 'eval', 'B'), ('d', 'eval', 'B'))",
    ] {
        session.ctx.sql(sql).await.unwrap().collect().await.unwrap();
    }
    let position = session
        .scripts
        .file("sql/evaluate/baselines/position.sql")
        .unwrap();
    let scored = position.run(&session.ctx).await.unwrap().unwrap();
    session
        .ctx
        .register_table("scored", scored.into_view())
        .unwrap();
    let verdict = session
        .scripts
        .file("sql/evaluate/30_baselines.sql")
        .unwrap();
    let found = verdict.run(&session.ctx).await.unwrap().unwrap();
    session
        .ctx
        .register_table("found", found.into_view())
        .unwrap();
    assert_eq!(
        rows(
            &session,
            "SELECT sum(hit), avg(rank), max(probs[1]) FROM found"
        )
        .await,
        [["0.0", "2.0", "0.75"]]
    );
}
