//! One scenario from its raw line to its pair.

use super::{Place, said, succeeded};

#[test]
fn a_scenario_is_walked_from_its_raw_line_to_its_pair() {
    let place = Place::local();
    succeeded(&place.run(&[]).output().unwrap());
    let id = place.query("SELECT min(scenario_id) FROM preferences");
    let told = |filter: &str| {
        place.query(&format!(
            "SELECT value FROM explain_row('{id}') WHERE {filter}"
        ))
    };
    let row: usize = told("stage = 'raw' AND name = 'row'").parse().unwrap();
    let ratings = std::fs::read_to_string(place.folder.path().join("raw/ratings.dat")).unwrap();
    let user = told("stage = 'raw' AND name = 'user'");
    let line = ratings.lines().nth(row - 1).unwrap();
    assert!(
        line.starts_with(&format!("{user}::")),
        "line {row} is {line}, of user {user}"
    );

    let fingerprint = format!("SELECT fingerprint FROM scenarios WHERE scenario_id = '{id}'");
    assert_eq!(
        told("name = 'prompt fingerprint'"),
        place.query(&fingerprint)
    );
    let texts = "SELECT count(*) FROM explain_row('ID') WHERE stage = 'decision' AND name = 'text'";
    assert_eq!(place.query(&texts.replace("ID", &id)), "8");
    let probs = "SELECT count(*) FROM explain_row('ID') WHERE stage = 'score' AND name = 'probs'";
    assert_eq!(place.query(&probs.replace("ID", &id)), "8");
    let rank = format!("SELECT rank FROM preferences WHERE scenario_id = '{id}'");
    assert_eq!(told("stage = 'pair' AND name = 'rank'"), place.query(&rank));
    assert!(told("source = 'decisions/strong' AND name = 'models'").contains("strong"));
    assert_eq!(told("source = 'decisions/strong' AND name = 'seed'"), "42");

    let unknown = place.output(&["sql", "-c", "SELECT * FROM explain_row('nobody')"]);
    let (code, errors) = said(&unknown);
    assert_eq!(code, Some(1));
    assert!(errors.contains("there is no scenario 'nobody'"), "{errors}");
}
