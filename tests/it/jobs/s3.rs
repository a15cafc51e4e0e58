//! A lake on S3, over the wire.

use super::server::Server;
use super::{Place, assert_same, said, succeeded};

#[test]
fn a_job_on_s3_makes_what_it_makes_on_a_folder_and_a_second_run_does_nothing() {
    let local = Place::local();
    succeeded(&local.run(&[]).output().unwrap());
    let server = Server::start(&[]);
    let place = server.place("a/lake", "2");
    let first = place.run(&[]).output().unwrap();
    succeeded(&first);
    assert_same(&place.tables(), &local.tables(), "on S3");

    let commits = place.query("SELECT count(*) FROM commits()");
    let (_, again) = said(&place.run(&[]).output().unwrap());
    assert_eq!(again.matches("up to date").count(), 6, "{again}");
    assert_eq!(place.query("SELECT count(*) FROM commits()"), commits);

    let kept = place.tables();
    let tended = place.succeed(&["maintain", "--keep-hours", "0"]);
    assert!(tended.contains("decisions"), "{tended}");
    assert_same(&place.tables(), &kept, "after upkeep");
    let (_, again) = said(&place.run(&[]).output().unwrap());
    assert_eq!(again.matches("up to date").count(), 6, "{again}");
}

#[test]
fn of_sixteen_runs_at_once_one_writes_and_the_others_say_so() {
    let server = Server::start(&[]);
    let place = server.place("contended", "10");
    let runs: Vec<_> = (0..16).map(|_| place.run(&[]).spawn().unwrap()).collect();
    let ends: Vec<_> = runs
        .into_iter()
        .map(|run| run.wait_with_output().unwrap())
        .collect();
    let mut wrote = 0;
    for end in &ends {
        match said(end) {
            (Some(0), _) => wrote += 1,
            (Some(75), errors) => assert!(errors.contains("is being written by run"), "{errors}"),
            (code, errors) => panic!("{code:?}: {errors}"),
        }
    }
    assert!(wrote >= 1);
    // A late one may have found the work done; but one alone did it.
    let writers = "SELECT count(DISTINCT run) FROM commits() WHERE step LIKE 'decisions/%'";
    assert_eq!(place.query(writers), "1");
    let once = "SELECT count(*), count(DISTINCT concat(scenario_id, source, draw)) FROM decisions";
    assert_eq!(place.query(once), "192,192");
}

#[test]
fn a_faulty_store_loses_nothing_and_repeats_nothing() {
    let local = Place::local();
    succeeded(&local.run(&[]).output().unwrap());
    // Among them answers that come after the client has given up.
    let faults = ["--faults", "5", "--fault-share", "0.08", "--delay", "5"];
    let server = Server::start(&faults);
    let place = server.place("faulty", "60");
    succeeded(&place.run(&[]).output().unwrap());
    assert_same(&place.tables(), &local.tables(), "with faults");
    let marks = "SELECT count(*), sum(rows) FROM commits() WHERE \"table\" = 'decisions'";
    assert!(
        place.query(marks).ends_with(",192"),
        "{}",
        place.query(marks)
    );
}
