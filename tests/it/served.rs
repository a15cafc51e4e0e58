//! A model behind llama.cpp's server, held against the engine with the same model.

use crate::jobs::{Place, job, succeeded};
use crate::servers::Server;

/// Twenty-four scenarios of a small world, and the weak demo model twice: behind a server that
/// gives at most 4 completions to a request, and in the engine.
struct Served {
    place: Place,
    server: Server,
}

impl Served {
    fn start() -> Self {
        let server = Server::start("chat.py", &["models/weak", "--slots", "4"]);
        let place = Place::local();
        succeeded(&place.run(&["--until", "scenarios"]).output().unwrap());
        Self { place, server }
    }

    fn location(&self) -> String {
        format!("http://127.0.0.1:{}/v1", self.server.port)
    }

    /// The answer to `sql`, a line a row, after `setting`. It can ask the models `served`, which
    /// has `options` besides its name, and `engine`.
    fn query(&self, options: &str, setting: &str, sql: &str) -> String {
        let served = format!(
            "CREATE EXTERNAL TABLE served STORED AS MODEL LOCATION '{}' \
             OPTIONS ('model' 'weak'{options})",
            self.location()
        );
        let engine = "CREATE EXTERNAL TABLE engine STORED AS MODEL LOCATION 'models/weak'";
        let text = self.place.succeed(&[
            "sql", "--format", "csv", "-c", &served, "-c", engine, "-c", setting, "-c", sql,
        ]);
        text.lines().skip(1).collect::<Vec<_>>().join("\n")
    }

    /// How `choose` came by its answers about `scenarios` after `text`, and the most by which
    /// they differ from the engine's: half the sum over a scenario's letters.
    fn compare(&self, options: &str, scenarios: &str, text: &str) -> (String, f64) {
        let sql = format!(
            "SELECT string_agg(DISTINCT by, ' '), max(distance) FROM (
               SELECT scenario_id, by, sum(abs(s - e)) / 2 AS distance FROM (
                 SELECT scenario_id, s['by'] AS by, unnest(s['probs']) AS s, unnest(e['probs']) AS e
                 FROM (
                   SELECT
                     scenario_id,
                     choose('served', messages, text, choice_count) AS s,
                     choose('engine', messages, text, choice_count) AS e
                   FROM (SELECT *, {text} AS text FROM {scenarios})))
               GROUP BY scenario_id, by)"
        );
        let answer = self.query(options, DEFAULT, &sql);
        let (by, distance) = answer.split_once(',').unwrap();
        (by.to_owned(), distance.parse().unwrap())
    }
}

const DEFAULT: &str = "SET model.temperature = 1";

#[test]
fn letters_are_as_probable_as_in_the_engine() {
    let served = Served::start();
    for text in ["''", "decide('engine', messages, 1)[1]['text']"] {
        let (by, distance) = served.compare("", "scenarios", text);
        assert_eq!(by, "logprobs");
        assert!(distance < 1e-4, "after {text}: {distance}");
    }
}

#[test]
fn letters_are_drawn_where_no_log_probabilities_are_told() {
    let served = Served::start();
    let options = r#", 'body' '{"logprobs": null, "top_logprobs": null}', 'choose_draws' '64'"#;
    let few = "(SELECT * FROM scenarios ORDER BY scenario_id LIMIT 3)";
    for text in ["''", "'Thought:\nStimulus: I am bored tonight.'"] {
        let (by, distance) = served.compare(options, few, text);
        assert_eq!(by, "draws");
        assert!(distance < 0.35, "after {text}: {distance}");
    }
}

#[test]
fn the_likeliest_decisions_are_the_engines() {
    let served = Served::start();
    let same = "SELECT count(*), \
                       count(*) FILTER (WHERE s['text'] = e['text'] AND s['letter'] = e['letter']) \
                FROM (SELECT decide('served', messages, 1)[1] AS s, \
                             decide('engine', messages, 1)[1] AS e FROM scenarios)";
    let coldest = "SET model.temperature = 0.0001";
    assert_eq!(served.query("", coldest, same), "24,24");
}

#[test]
fn decisions_end_at_their_letter_and_all_their_tokens_count() {
    let served = Served::start();
    let apart = ", 'draws_per_request' 'one'";
    // Six together are more than the server gives.
    for (options, draws) in [("", 4), ("", 6), (apart, 4)] {
        let sql = format!(
            "SELECT count(*), count(DISTINCT d['text']), avg(d['tokens']), count(*) FILTER (
               WHERE d['finish'] = 'behavior' AND d['letter'] BETWEEN 'A' AND 'E'
                 AND starts_with(d['text'], 'Thought:') AND NOT contains(d['text'], 'Behavior:'))
             FROM (SELECT unnest(decide('served', messages, {draws})) AS d FROM scenarios)"
        );
        let answer = served.query(options, DEFAULT, &sql);
        let found: Vec<f64> = answer.split(',').map(|n| n.parse().unwrap()).collect();
        let [all, different, tokens, good] = found[..] else {
            panic!("{answer}");
        };
        assert!((all - 24.0 * f64::from(draws)).abs() < 0.5, "{answer}");
        // The model itself sometimes writes what is no decision.
        assert!(good > 0.95 * all && different > 0.8 * all, "{answer}");
        // The engine's own decisions have 26.
        assert!((22.0..34.0).contains(&tokens), "{answer}");
    }
}

#[test]
fn draws_by_seed_can_be_had_again() {
    let served = Served::start();
    let sql = "SELECT string_agg(md5(d['text']), ' ' ORDER BY scenario_id, d['draw']) FROM ( \
                 SELECT scenario_id, unnest(decide('served', messages, 3)) AS d FROM scenarios)";
    let options = ", 'draws_per_request' 'one', 'concurrency' '1'";
    let first = served.query(options, DEFAULT, sql);
    assert_eq!(first.split(' ').count(), 72, "{first}");
    assert_eq!(served.query(options, DEFAULT, sql), first);
    assert_ne!(served.query(options, "SET model.seed = 7", sql), first);
}

#[test]
fn what_does_not_fit_is_told() {
    let served = Served::start();
    let cut = "SELECT DISTINCT d['finish'], d['letter'] FROM ( \
                 SELECT unnest(decide('served', messages, 2)) AS d FROM scenarios)";
    assert_eq!(served.query("", "SET model.max_tokens = 5", cut), "length,");
    let long = "SELECT decide('served', messages, 2)[1]['error'] FROM ( \
                  SELECT [named_struct('role', 'user', 'content', repeat('x', 2000))] AS messages)";
    let reason = served.query("", DEFAULT, long);
    assert!(
        reason.contains("exceeds the available context size"),
        "{reason}"
    );
}

#[test]
fn a_job_runs_with_a_served_model() {
    let served = Served::start();
    let folder = format!("'{}/models/weak'", env!("CARGO_MANIFEST_DIR"));
    let location = format!("'{}'\nweak.model = 'weak'", served.location());
    let place = &served.place;
    std::fs::write(place.job(), job().replace(&folder, &location)).unwrap();
    succeeded(&place.run(&[]).output().unwrap());

    // The engine counts the prompts of the strong model, which reads text as the weak one does.
    let tokens = "SELECT sum(prompt_tokens), sum(generated_tokens) > 2000 FROM commits() \
                  WHERE step = 'decisions/";
    let [strong, weak] = ["strong", "weak"].map(|model| place.query(&format!("{tokens}{model}'")));
    assert_eq!(strong, weak);
    assert!(strong.ends_with(",true"), "{strong}");
    let scores = "SELECT count(*), count(*) FILTER (WHERE probs_by = 'logprobs') > 180 FROM scores";
    assert_eq!(place.query(scores), "192,true");
    let cached = "SELECT sum(cached_tokens) > 0 FROM commits() WHERE step = 'scores'";
    assert_eq!(place.query(cached), "true");
    assert_ne!(place.query("SELECT count(*) FROM preferences"), "0");
}
