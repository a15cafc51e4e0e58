//! Scenario construction: the checks are clean on a sound build, and each catches the
//! defect it is there for.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use tempfile::TempDir;
use usermirror::generate::generate;
use usermirror::generate::world::World;
use usermirror::ingest::ingest;
use usermirror::run::{Options, Plan, Step, run};
use usermirror::scripts::Scripts;

use crate::support::{dataset, rows, session, session_with, strict};

/// A lake with a small world whose log is as awkward as real ones: many events of a
/// user share a time, and some films are released while the log runs.
async fn lake() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let raw = folder.path().join("raw");
    let session = session(&folder.path().join("lake")).await;
    let world = World::new(200, 3);
    generate(&session, &dataset("movielens"), &world, &raw)
        .await
        .unwrap();
    rewrite(&raw.join("ratings.dat"), |fields| {
        let seconds: i64 = fields[3].parse().unwrap();
        fields[3] = (seconds / 1_000_000 * 1_000_000).to_string();
    });
    rewrite(&raw.join("movies.dat"), |fields| {
        if fields[0].ends_with(['3', '7']) {
            let start = fields[1].rfind('(').unwrap();
            fields[1].replace_range(start.., "(2000)");
        }
    });
    ingest(&session, &strict("movielens", &raw)).await.unwrap();
    folder
}

/// Changes the fields of every line of a Latin-1 file.
fn rewrite(file: &Path, change: impl Fn(&mut [String])) {
    let bytes = std::fs::read(file).unwrap();
    let text: String = bytes.iter().map(|&byte| char::from(byte)).collect();
    let mut changed = String::new();
    for line in text.lines() {
        let mut fields: Vec<String> = line.split("::").map(str::to_owned).collect();
        change(&mut fields);
        changed.push_str(&fields.join("::"));
        changed.push('\n');
    }
    let bytes: Vec<u8> = changed.chars().map(|c| u8::try_from(c).unwrap()).collect();
    std::fs::write(file, bytes).unwrap();
}

fn plan() -> Plan {
    Plan {
        datasets: vec![dataset("movielens")],
        work: Plan::steps(Step::Scenarios, Step::Scenarios),
        select: "uncertainty".to_owned(),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sound_build_passes_every_check_in_both_modes() {
    let folder = lake().await;
    for (mode, split_by) in [("time_safe", "user"), ("paper", "time")] {
        let session = session(&folder.path().join("lake")).await;
        session.parameters.set("scenarios", "600").unwrap();
        session.parameters.set("mode", mode).unwrap();
        session.parameters.set("split_by", split_by).unwrap();
        run(&session, &plan(), &Options::default()).await.unwrap();
        let counts = rows(
            &session,
            "SELECT count(*), count(DISTINCT split) FROM scenarios",
        )
        .await;
        assert_eq!(counts, [["600", "2"]], "{mode}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_truth_stands_in_every_position_and_often_in_the_last() {
    let folder = lake().await;
    let session = session(&folder.path().join("lake")).await;
    session.parameters.set("scenarios", "2000").unwrap();
    run(&session, &plan(), &Options::default()).await.unwrap();
    let positions = rows(
        &session,
        "SELECT count(DISTINCT letter_index(truth)), max(letter_index(truth)),
                abs(avg(CASE WHEN letter_index(truth) = choice_count THEN 1.0 ELSE 0.0 END) - 0.2) < 0.07
         FROM scenarios WHERE split = 'eval'",
    )
    .await;
    assert_eq!(positions, [["5", "5", "true"]]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_encoder_takes_the_place_of_words_and_leaving_it_out_brings_them_back() {
    let folder = lake().await;
    let encoder = Path::new(env!("CARGO_MANIFEST_DIR")).join("models/encoder");
    let built = async |with_encoder: bool| {
        let session = session(&folder.path().join("lake")).await;
        session.parameters.set("scenarios", "600").unwrap();
        if with_encoder {
            let location = encoder.to_string_lossy();
            let opened = session.open_model("encoder", &location, "cpu", BTreeMap::new());
            opened.await.unwrap();
        }
        run(&session, &plan(), &Options::default()).await.unwrap();
        let scenarios = "SELECT * EXCEPT (messages) FROM scenarios ORDER BY scenario_id";
        let runs = "SELECT count(*) FROM runs WHERE models LIKE '%encoder%'";
        (
            rows(&session, scenarios).await,
            rows(&session, runs).await[0][0].clone(),
        )
    };
    let (by_words, runs) = built(false).await;
    assert_eq!((by_words.len(), runs.as_str()), (600, "0"));
    let (by_vectors, _) = built(true).await;
    assert_eq!(by_vectors.len(), 600);
    let ids = |rows: &[Vec<String>]| rows.iter().map(|row| row[0].clone()).collect::<Vec<_>>();
    assert_eq!(ids(&by_vectors), ids(&by_words));
    let changed = by_vectors.iter().zip(&by_words).filter(|(a, b)| a != b);
    assert!(changed.count() > 100);
    let (again, runs) = built(true).await;
    assert!(again == by_vectors);
    assert_eq!(runs, "1", "what is up to date was made again");
    let (back, _) = built(false).await;
    assert!(back == by_words);
}

/// Each line of SQL that keeps a known defect out, the defect that comes without it, and
/// the check that must notice.
const DEFECTS: [(&str, &str, &str, &str); 9] = [
    (
        "70_exposures.sql",
        "draw_int(1, choice_count, @seed, scenario_id, 'position')",
        "draw_int(1, choice_count - 1, @seed, scenario_id, 'position')",
        "truth_position_uniform",
    ),
    (
        "70_exposures.sql",
        "e.excluded,",
        "make_array(s.item_index) AS excluded,",
        "exposure_unseen",
    ),
    (
        "70_exposures.sql",
        "e.excluded,",
        "e.seen AS excluded,",
        "exposure_as_asked",
    ),
    (
        "40_memory.sql",
        "WHERE e.ts <= s.ts OR",
        "WHERE e.ts < s.ts OR e.row = s.row OR",
        "exposure_unseen",
    ),
    (
        "30_sampled.sql",
        "    h.horizon,",
        "    (SELECT count(*) FROM catalog) AS horizon,",
        "exposure_released",
    ),
    (
        "10_catalog.sql",
        "rank() OVER (PARTITION BY i.user_id ORDER BY i.ts)",
        "row_number() OVER (PARTITION BY i.user_id ORDER BY i.ts, i.row)",
        "history_before",
    ),
    (
        "30_sampled.sql",
        "uniform(@seed, 'split', d.user_id)",
        "uniform(@seed, 'split', d.item_id)",
        "splits_disjoint",
    ),
    (
        "20_windows.sql",
        "CASE WHEN @mode = 'time_safe' THEN starts_at END AS data_until",
        "lead(starts_at) OVER (ORDER BY starts_at) AS data_until",
        "learned_from_the_past",
    ),
    (
        "70_exposures.sql",
        "    position AS truth_position,",
        "    1 + position % choice_count AS truth_position,",
        "truth_in_exposure",
    ),
];

#[tokio::test(flavor = "multi_thread")]
async fn every_known_defect_is_caught_by_its_check() {
    let folder = lake().await;
    for (file, sound, defect, check) in DEFECTS {
        let home = copy_of_home();
        let path = home.path().join("sql/scenarios").join(file);
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(text.contains(sound), "{file} no longer says: {sound}");
        std::fs::write(&path, text.replace(sound, defect)).unwrap();

        let scripts = Scripts::new(Some(home.path().to_owned()), None);
        let session = session_with(&folder.path().join("lake"), scripts).await;
        session.parameters.set("scenarios", "1500").unwrap();
        let error = run(&session, &plan(), &Options::default())
            .await
            .unwrap_err()
            .to_string();
        assert!(
            error.contains(check),
            "{check} did not notice {defect}: {error}"
        );
    }
}

fn copy_of_home() -> TempDir {
    let copy = tempfile::tempdir().unwrap();
    for folder in ["sql", "datasets"] {
        let from = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
        copy_folder(&from, &copy.path().join(folder));
    }
    copy
}

fn copy_folder(from: &Path, to: &PathBuf) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy_folder(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}
