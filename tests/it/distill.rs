//! Distillation, held against numbers computed independently of this code.

use std::collections::BTreeSet;
use std::path::Path;

use usermirror::session::Session;

use crate::support::{rows, session};

async fn golden(folder: &Path) -> Session {
    let session = session(folder).await;
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/distill");
    for table in ["scores", "uncertainty", "pairs"] {
        let sql = format!(
            "CREATE EXTERNAL TABLE golden_{table} STORED AS PARQUET LOCATION '{}'",
            golden.join(format!("{table}.parquet")).display()
        );
        session.ctx.sql(&sql).await.unwrap();
    }
    for sql in [
        "CREATE TABLE scores AS
         SELECT CAST(scenario AS TEXT) AS scenario_id, source, draw, probs, entropy(probs) AS entropy,
                behavior, behavior = truth AS accepted, CAST(NULL AS TEXT) AS error
         FROM golden_scores",
        "CREATE TABLE decisions AS
         SELECT scenario_id, source, draw, concat('Thought ', draw, ' of ', source) AS text FROM scores",
        "CREATE TABLE scenarios AS
         SELECT DISTINCT CAST(scenario AS TEXT) AS scenario_id, 'golden' AS dataset, 'train' AS split,
                'u' AS user_id, 'i' AS item_id, TIMESTAMP '2001-01-01' AS ts, ['i'] AS exposure,
                choice_count, truth, ['Which?'] AS messages
         FROM golden_scores",
        "CREATE TABLE ifd AS
         SELECT scenario_id, nullif(round(uniform(7, scenario_id), 2), 0.5) AS ifd FROM scenarios",
    ] {
        session.ctx.sql(sql).await.unwrap();
    }
    let script = session
        .scripts
        .file("sql/distill/10_uncertainty.sql")
        .unwrap();
    let uncertainty = script.run(&session.ctx).await.unwrap().unwrap();
    session
        .ctx
        .register_table("uncertainty", uncertainty.into_view())
        .unwrap();
    select(&session, "uncertainty").await;
    session
}

/// Makes `preferences` of the pairs that `strategy` selects.
async fn select(session: &Session, strategy: &str) {
    for file in [
        "distill/20_pairs",
        &format!("select/{strategy}"),
        "distill/30_quotas",
        "distill/40_preferences",
    ] {
        let script = session.scripts.file(&format!("sql/{file}.sql")).unwrap();
        if let Some(preferences) = script.run(&session.ctx).await.unwrap() {
            session.ctx.deregister_table("preferences").unwrap();
            session
                .ctx
                .register_table("preferences", preferences.into_view())
                .unwrap();
        }
    }
}

#[tokio::test]
async fn uncertainty_equals_the_golden_numbers() {
    let lake = tempfile::tempdir().unwrap();
    let session = golden(lake.path()).await;
    let counts = rows(&session, "SELECT count(*) FROM uncertainty").await;
    assert_eq!(counts, [["1017"]]);
    let apart = rows(
        &session,
        "SELECT count(*),
                max(greatest(abs(u.eu_strong - g.eu_strong), abs(u.eu_weak - g.eu_weak),
                             abs(u.tu_strong - g.tu_strong), abs(u.tu_weak - g.tu_weak),
                             abs(u.au_strong - g.au_strong), abs(u.au_weak - g.au_weak),
                             abs(u.delta_eu - g.delta_eu))) < 1e-12
         FROM uncertainty AS u
         JOIN golden_uncertainty AS g ON CAST(g.scenario AS TEXT) = u.scenario_id",
    )
    .await;
    assert_eq!(apart, [["1017", "true"]]);
}

#[tokio::test]
async fn pairs_equal_the_golden_ones_row_for_row() {
    let lake = tempfile::tempdir().unwrap();
    let session = golden(lake.path()).await;
    let pairs = "SELECT scenario_id, chosen_draw, rejected_source, rejected_draw FROM pairs";
    let expected = "SELECT CAST(scenario AS TEXT), chosen_draw, rejected_source, rejected_draw
                    FROM golden_pairs";
    let difference = rows(
        &session,
        &format!(
            "SELECT (SELECT count(*) FROM pairs) AS ours,
                    (SELECT count(*) FROM golden_pairs) AS theirs,
                    (SELECT count(*) FROM ({pairs} EXCEPT {expected})) AS only_ours,
                    (SELECT count(*) FROM ({expected} EXCEPT {pairs})) AS only_theirs"
        ),
    )
    .await;
    assert_eq!(difference, [["997", "997", "0", "0"]]);
}

#[tokio::test]
async fn quotas_add_up_and_starve_no_stratum() {
    let lake = tempfile::tempdir().unwrap();
    let session = golden(lake.path()).await;
    for pairs in [1, 10, 333, 996, 997, 5000] {
        session.parameters.set("pairs", &pairs.to_string()).unwrap();
        let total = rows(&session, "SELECT sum(quota) FROM quotas").await;
        assert_eq!(total, [[pairs.min(997).to_string()]]);
        let check = session
            .scripts
            .file("sql/checks/distill/quotas_add_up.sql")
            .unwrap();
        let offending = check.run(&session.ctx).await.unwrap().unwrap();
        assert_eq!(offending.count().await.unwrap(), 0, "{pairs} pairs");
    }
}

#[tokio::test]
async fn the_largest_gaps_of_a_stratum_are_selected() {
    let lake = tempfile::tempdir().unwrap();
    let session = golden(lake.path()).await;
    session.parameters.set("pairs", "300").unwrap();
    let worse_selected = rows(
        &session,
        "WITH marked AS (
             SELECT s.*, r.rank <= q.quota AS selected
             FROM selectable AS s
             JOIN ranked AS r ON r.scenario_id = s.scenario_id
             JOIN quotas AS q ON q.choice_count = s.choice_count
         )
         SELECT count(*) FILTER (WHERE selected),
                (SELECT count(*) FROM marked AS a JOIN marked AS b
                 ON a.choice_count = b.choice_count AND a.delta_eu < b.delta_eu
                 WHERE a.selected AND NOT b.selected)
         FROM marked",
    )
    .await;
    assert_eq!(worse_selected, [["300", "0"]]);
}

/// Every strategy, and what it ranks by, least first: none where it draws at random.
const STRATEGIES: [(&str, Option<&str>); 7] = [
    ("uncertainty", Some("-delta_eu")),
    ("random_letters", None),
    ("random", None),
    ("high_accuracy", Some("-accuracy_strong")),
    ("low_accuracy", Some("accuracy_strong")),
    (
        "accuracy_difference",
        Some("accuracy_weak - accuracy_strong"),
    ),
    ("ifd", Some("coalesce(-ifd, 1)")),
];

const SELECTED: &str =
    "SELECT scenario_id, rank, chosen, rejected FROM preferences ORDER BY scenario_id";

#[tokio::test]
async fn every_strategy_fills_the_quotas_in_its_own_order() {
    let lake = tempfile::tempdir().unwrap();
    let session = golden(lake.path()).await;
    session.parameters.set("pairs", "300").unwrap();
    let mut selections = BTreeSet::new();
    for (strategy, order) in STRATEGIES {
        select(&session, strategy).await;
        let selected = rows(&session, SELECTED).await;
        assert_eq!(selected.len(), 300, "{strategy}");
        for check in session.scripts.folder("sql/checks/distill").unwrap() {
            let offending = check.run(&session.ctx).await.unwrap().unwrap();
            assert_eq!(
                offending.count().await.unwrap(),
                0,
                "{strategy}: {}",
                check.path
            );
        }
        if let Some(order) = order {
            let misplaced = format!(
                "SELECT count(*) FROM (
                     SELECT {order} < lag({order}) OVER (PARTITION BY r.choice_count ORDER BY r.rank)
                            AS before_its_turn
                     FROM ranked AS r
                     JOIN uncertainty AS u ON u.scenario_id = r.scenario_id
                     JOIN ifd AS i ON i.scenario_id = r.scenario_id
                 ) WHERE before_its_turn"
            );
            assert_eq!(rows(&session, &misplaced).await, [["0"]], "{strategy}");
        }
        select(&session, strategy).await;
        assert_eq!(rows(&session, SELECTED).await, selected, "{strategy}");
        selections.insert(selected);
    }
    assert_eq!(selections.len(), STRATEGIES.len());
}

#[tokio::test]
async fn another_seed_draws_other_pairs() {
    let lake = tempfile::tempdir().unwrap();
    let session = golden(lake.path()).await;
    session.parameters.set("pairs", "300").unwrap();
    for strategy in ["random_letters", "random", "high_accuracy"] {
        select(&session, strategy).await;
        let selected = rows(&session, SELECTED).await;
        session.parameters.set("seed", "7").unwrap();
        select(&session, strategy).await;
        assert_ne!(rows(&session, SELECTED).await, selected, "{strategy}");
        session.parameters.set("seed", "42").unwrap();
    }
}

#[tokio::test]
async fn random_letters_come_from_all_scenarios_and_without_decisions() {
    let lake = tempfile::tempdir().unwrap();
    let session = golden(lake.path()).await;
    session.parameters.set("pairs", "5000").unwrap();
    select(&session, "random_letters").await;
    let answers = rows(
        &session,
        "SELECT count(*) = (SELECT count(*) FROM scenarios),
                count(*) FILTER (WHERE chosen = concat('Behavior: [', truth, ']')
                                   AND rejected = concat('Behavior: [', rejected_behavior, ']')
                                   AND rejected_behavior <> truth
                                   AND letter_index(rejected_behavior) <= choice_count) = count(*),
                count(DISTINCT (letter_index(rejected_behavior) - letter_index(truth) + choice_count)
                               % choice_count) = max(choice_count) - 1,
                count(chosen_draw) + count(rejected_draw)
         FROM preferences",
    )
    .await;
    assert_eq!(answers, [["true", "true", "true", "0"]]);
}
