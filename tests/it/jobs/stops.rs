//! Runs that stop early, go on, or do only what changed; and what they say beforehand.

use std::io::{BufRead, BufReader, Read};
use std::process::Command;

use super::{Place, assert_same, said, succeeded};

/// The number before `word` in `text`: `5,924 prompt tokens` → 5924.
fn number_before(text: &str, word: &str) -> f64 {
    let before = text.split(word).next().unwrap().trim_end();
    let digits = before.rsplit(' ').next().unwrap().replace(',', "");
    digits
        .parse()
        .unwrap_or_else(|_| panic!("no number before {word} in {text}"))
}

#[test]
fn a_run_that_is_asked_to_stop_commits_and_leaves_and_the_next_goes_on() {
    let whole = Place::local();
    succeeded(&whole.run(&[]).output().unwrap());
    let place = Place::local();
    let mut process = place.run(&["--log-format", "json"]).spawn().unwrap();
    let mut log = BufReader::new(process.stderr.take().unwrap());
    let mut told = String::new();
    while !told.contains("\"step\":\"decisions/strong\"") || !told.contains("committed") {
        assert!(log.read_line(&mut told).unwrap() > 0, "{told}");
    }
    let term = Command::new("kill")
        .args(["-TERM", &process.id().to_string()])
        .status()
        .unwrap();
    assert!(term.success());
    log.read_to_string(&mut told).unwrap();
    assert_eq!(process.wait().unwrap().code(), Some(130), "{told}");
    assert!(told.contains("run the same command again"), "{told}");
    let left = "SELECT count(*) < 192 FROM decisions";
    assert_eq!(place.query(left), "true", "it stopped before the end");
    succeeded(&place.run(&[]).output().unwrap());
    assert_same(&place.tables(), &whole.tables(), "after SIGTERM");
}

#[test]
fn a_budget_stops_before_it_is_overdrawn_and_a_larger_one_goes_on() {
    let place = Place::local();
    let (code, errors) = said(&place.run(&["--budget", "tokens=6000"]).output().unwrap());
    assert_eq!(code, Some(4), "{errors}");
    assert!(errors.contains("at the budget tokens=6000"), "{errors}");
    let spent = place.query("SELECT sum(prompt_tokens + generated_tokens) FROM commits()");
    let spent: f64 = spent.parse().unwrap();
    assert!(spent > 2000.0 && spent <= 6000.0, "{spent}");
    succeeded(&place.run(&[]).output().unwrap());
    assert_eq!(place.query("SELECT count(*) FROM decisions"), "192");
}

#[test]
fn money_is_counted_at_the_prices_of_the_models() {
    let place = Place::local();
    let prices = "strong.price_prompt = 1000\nstrong.price_generated = 2000\n";
    std::fs::write(place.job(), super::job() + prices).unwrap();
    let (code, errors) = said(&place.run(&["--budget", "usd=3"]).output().unwrap());
    assert_eq!(code, Some(4), "{errors}");
    let paid = "SELECT sum(prompt_tokens) * 0.001 + sum(generated_tokens) * 0.002 FROM commits()";
    let paid: f64 = place.query(paid).parse().unwrap();
    assert!(paid > 1.0 && paid <= 3.0, "{paid}");
}

#[test]
fn an_estimate_is_exact_in_prompts_and_close_in_new_tokens() {
    let place = Place::local();
    let (_, first) = said(
        &place
            .run(&["--scenarios", "160", "--until", "scenarios"])
            .output()
            .unwrap(),
    );
    assert!(first.contains("scenarios"), "{first}");
    // What 100 scenarios take tells what the other 60 will.
    let (_, some) = said(
        &place
            .run(&["--scenarios", "100", "--until", "decisions"])
            .output()
            .unwrap(),
    );
    let told = number_before(&some, "prompt tokens");
    let spent = "SELECT sum(prompt_tokens) FROM commits() WHERE step = 'decisions/strong'";
    assert_eq!(told.to_string(), place.query(spent));
    let (_, rest) = said(
        &place
            .run(&["--scenarios", "160", "--until", "decisions"])
            .output()
            .unwrap(),
    );
    let told = number_before(&rest, "new tokens");
    let wrote = "SELECT sum(tokens) FROM decisions WHERE source = 'strong'";
    let all: f64 = place.query(wrote).parse().unwrap();
    let before = number_before(&rest, "done)").max(1.0);
    let expected = all * (160.0 - before) / 160.0;
    assert!(
        (told / expected - 1.0).abs() < 0.05,
        "told {told}, was about {expected}\n{rest}"
    );
}

#[test]
fn only_what_depends_on_a_change_is_done_again() {
    let place = Place::local();
    succeeded(&place.run(&[]).output().unwrap());
    let commits = |step: &str| {
        place.query(&format!(
            "SELECT count(*) FROM commits() WHERE step = '{step}'"
        ))
    };
    let before = ["scenarios", "decisions/strong", "decisions/weak", "scores"].map(commits);
    // Another number of pairs concerns the last step alone.
    let (_, fewer) = said(&place.run(&["--pairs", "3"]).output().unwrap());
    assert_eq!(fewer.matches("up to date").count(), 5, "{fewer}");
    assert_eq!(place.query("SELECT count(*) FROM preferences"), "3");
    // More scenarios leave those there were as they are: their decisions are kept.
    let strong = "SELECT * EXCEPT (probs) FROM decisions WHERE source = 'strong' ORDER BY 1, 3";
    let old = place.query(strong);
    succeeded(&place.run(&["--scenarios", "30"]).output().unwrap());
    let new = place.query(strong);
    assert!(
        old.lines().all(|row| new.contains(row)),
        "a decision changed"
    );
    let calls = "SELECT sum(units) FROM commits() WHERE step = 'decisions/strong'";
    assert_eq!(place.query(calls), "30");
    // Fewer scenarios again: nothing is asked, what is not needed goes.
    succeeded(&place.run(&[]).output().unwrap());
    assert_eq!(place.query(calls), "30");
    assert_eq!(place.query("SELECT count(*) FROM decisions"), "192");
    // Another weak model leaves the strong one's decisions alone.
    let (_, swapped) = said(&place.run(&["--weak", "models/strong"]).output().unwrap());
    assert!(
        swapped.contains("decisions/strong                               up to date"),
        "{swapped}"
    );
    assert!(swapped.contains("decisions/weak: 24 to do"), "{swapped}");
    assert_ne!(
        before,
        ["scenarios", "decisions/strong", "decisions/weak", "scores"].map(commits)
    );
}

#[test]
fn rows_with_errors_are_done_again_when_asked() {
    let place = Place::local();
    let short = ["--until", "decisions", "--style", "full"];
    let (code, _) = said(&place.run(&short).output().unwrap());
    assert_eq!(code, Some(3));
    let commits = "SELECT count(*) FROM commits() WHERE step = 'decisions/strong' AND rows > 0";
    let before = place.query(commits);
    said(&place.run(&short).output().unwrap());
    assert_eq!(place.query(commits), before, "errors are results");
    let mut again = short.to_vec();
    again.push("--retry");
    said(&place.run(&again).output().unwrap());
    assert_ne!(place.query(commits), before);
    assert_eq!(place.query("SELECT count(*) FROM decisions"), "48");
}

#[test]
fn a_dry_run_tells_what_would_be_done_and_does_nothing() {
    let place = Place::local();
    let (code, told) = said(&place.run(&["--dry-run"]).output().unwrap());
    assert_eq!(code, Some(0), "{told}");
    assert!(told.contains("scenarios: to be made"), "{told}");
    assert!(told.contains("known once scenarios is made"), "{told}");
    assert_eq!(
        place.query("SELECT count(*) FROM commits() WHERE \"table\" <> 'runs'"),
        "0"
    );
    succeeded(&place.run(&["--until", "decisions"]).output().unwrap());
    let (_, told) = said(&place.run(&["--dry-run"]).output().unwrap());
    assert!(told.contains("decisions/strong: 24 done"), "{told}");
    assert!(told.contains("scores: 0 done, 48 to do"), "{told}");
}

#[test]
fn every_setting_tells_where_it_came_from() {
    let place = Place::local();
    let job = place.job().to_string_lossy().into_owned();
    let output = place
        .command(&["--job", &job, "config", "show", "--set", "draws=7"])
        .env("USERMIRROR_SELECT", "random")
        .output()
        .unwrap();
    let shown = succeeded(&output);
    let line = |name: &str| {
        let line = shown
            .lines()
            .find(|line| line.starts_with(&format!("{name} ")));
        line.unwrap_or_else(|| panic!("no {name} in\n{shown}"))
            .split_whitespace()
            .collect::<Vec<_>>()
    };
    assert_eq!(line("parameters.draws")[1..], ["7", "command", "line"]);
    assert_eq!(line("parameters.scenarios")[1..], ["24", &job]);
    assert_eq!(line("select")[1..], ["random", "$USERMIRROR_SELECT"]);
    assert_eq!(line("commit.minutes")[1..], ["5", "default"]);

    std::fs::write(place.job(), "scenario = 3").unwrap();
    let (code, errors) = said(&place.output(&["--job", &job, "config", "show"]));
    assert_eq!(code, Some(2));
    assert!(
        errors.contains("there is no setting 'scenario'"),
        "{errors}"
    );
}

#[test]
fn a_step_of_the_users_own_is_a_file_of_sql() {
    let place = Place::local();
    let own = "-- How long each scenario's decisions are.
--
-- output: lengths
-- inputs: decisions
-- key: scenario_id
SELECT scenario_id, avg(character_length(text)) AS mean FROM decisions GROUP BY scenario_id;
";
    std::fs::write(place.folder.path().join("lengths.sql"), own).unwrap();
    let job = format!(
        "steps = ['scenarios', 'decisions', 'lengths.sql']\n{}",
        super::job()
    );
    std::fs::write(place.job(), &job).unwrap();
    succeeded(&place.run(&[]).output().unwrap());
    assert_eq!(
        place.query("SELECT count(*), count(mean) FROM lengths"),
        "24,24"
    );
    let (_, again) = said(&place.run(&[]).output().unwrap());
    assert_eq!(again.matches("up to date").count(), 4, "{again}");
    succeeded(&place.run(&["--scenarios", "26"]).output().unwrap());
    let units = "SELECT sum(units) FROM commits() WHERE step = 'lengths'";
    assert_eq!(place.query(units), "26", "only the new ones were computed");

    let more = own.replace("AS mean FROM", "AS mean, count(*) AS texts FROM");
    std::fs::write(place.folder.path().join("lengths.sql"), more).unwrap();
    succeeded(&place.run(&["--scenarios", "26"]).output().unwrap());
    let column = "SELECT count(*), min(texts), max(texts) FROM lengths";
    assert_eq!(
        place.query(column),
        "26,8,8",
        "another column means other rows"
    );

    std::fs::write(place.folder.path().join("lengths.sql"), "SELECT 1").unwrap();
    let (code, errors) = said(&place.run(&[]).output().unwrap());
    assert_eq!(code, Some(2));
    assert!(errors.contains("-- output: TABLE"), "{errors}");
}
