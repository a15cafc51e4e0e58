//! `kill -9` anywhere: nothing is lost, nothing is there twice, little is paid for again.

use std::io::Read;
use std::path::PathBuf;
use std::process::Child;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::server::Server;
use super::{Place, assert_same, draw, succeeded};
use crate::support::{rows, session};

/// Model calls that a unit of the most expensive step makes: a scenario's scores.
const CALLS_OF_A_UNIT: usize = 4;

/// Units between two commits, as the job says.
const INTERVAL: usize = 6;

/// How a job fared that was killed again and again.
struct Fate {
    kills: usize,
    calls: usize,
}

/// Runs the job of `place` and kills it at seeded moments, each up to `reach` after its
/// start, at most `kills` times; then lets it finish.
fn torment(place: &Place, seed: u64, kills: usize, reach: Duration) -> Fate {
    let mut fate = Fate { kills: 0, calls: 0 };
    loop {
        let mut process = place
            .run(&[])
            .env("RUST_LOG", "usermirror=debug")
            .spawn()
            .unwrap();
        let mut log = process.stderr.take().unwrap();
        let reader = std::thread::spawn(move || {
            let mut text = String::new();
            log.read_to_string(&mut text)
                .map(|_| text)
                .unwrap_or_default()
        });
        let done = if fate.kills < kills {
            ended_before(&mut process, reach.mul_f64(draw(seed, fate.kills as u64)))
        } else {
            process.wait().unwrap();
            true
        };
        if !done {
            process.kill().unwrap();
            process.wait().unwrap();
            fate.kills += 1;
        }
        let log = reader.join().unwrap();
        fate.calls += log.matches("answered").count();
        if done {
            match process.wait().unwrap().code() {
                Some(0) => return fate,
                // The lease of the one that was killed has not run out yet.
                Some(75) => std::thread::sleep(Duration::from_millis(500)),
                _ => panic!("{log}"),
            }
        }
    }
}

/// Whether `process` ended by itself within `time`.
fn ended_before(process: &mut Child, time: Duration) -> bool {
    let step = Duration::from_millis(5);
    for _ in 0..time.as_millis() / step.as_millis() {
        if process.try_wait().unwrap().is_some() {
            return true;
        }
        std::thread::sleep(step);
    }
    process.try_wait().unwrap().is_some()
}

/// What an undisturbed run makes, and how many model calls it takes.
fn undisturbed() -> (Vec<String>, usize) {
    let place = Place::local();
    let output = place
        .run(&[])
        .env("RUST_LOG", "usermirror=debug")
        .output()
        .unwrap();
    succeeded(&output);
    let calls = String::from_utf8_lossy(&output.stderr)
        .matches("answered")
        .count();
    // The weak model knows the distributions of what it wrote itself.
    assert_eq!(calls, 2 * 24 + 24 * CALLS_OF_A_UNIT);
    (place.tables(), calls)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_killed_fifty_times_on_a_folder_ends_with_the_same_rows() {
    let (expected, calls) = undisturbed();
    let (mut kills, mut seed) = (0, 1);
    while kills < 50 {
        let place = Place::local();
        let lake = place.folder.path().join("lake");
        let over = Arc::new(AtomicBool::new(false));
        let watched = tokio::spawn(watch(lake, Arc::clone(&over)));
        let reach = Duration::from_millis(2500);
        let fate = tokio::task::block_in_place(|| torment(&place, seed, 12, reach));
        over.store(true, Ordering::Relaxed);
        assert!(watched.await.unwrap() > 0, "nobody looked");
        assert_same(&place.tables(), &expected, &format!("seed {seed}"));
        let most = calls + fate.kills * INTERVAL * CALLS_OF_A_UNIT;
        assert!(
            fate.calls <= most,
            "{} calls after {} kills",
            fate.calls,
            fate.kills
        );
        kills += fate.kills;
        seed += 1;
    }
}

/// Reads the lake until it is `over`, and makes sure that no table is ever seen half made.
async fn watch(lake: PathBuf, over: Arc<AtomicBool>) -> usize {
    let mut looks = 0;
    while !over.load(Ordering::Relaxed) {
        let session = session(&lake).await;
        for (table, of_a_unit) in [("decisions", "4"), ("scores", "4")] {
            if session.ctx.table(table).await.is_err() {
                continue;
            }
            let sql = format!("SELECT DISTINCT count(*) FROM {table} GROUP BY scenario_id, source");
            let counts = rows(&session, &sql).await;
            assert!(
                counts.is_empty() || counts == [[of_a_unit]],
                "{table}: {counts:?}"
            );
            looks += 1;
        }
        if session.ctx.table("scenarios").await.is_ok() {
            assert_eq!(
                rows(&session, "SELECT count(*) FROM scenarios").await,
                [["24"]]
            );
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    looks
}

#[test]
fn a_job_killed_on_s3_ends_with_the_same_rows() {
    let (expected, calls) = undisturbed();
    let server = Server::start(&[]);
    let place = server.place("killed", "2");
    let fate = torment(&place, 99, 12, Duration::from_secs(5));
    assert!(fate.kills > 1, "only {} kills", fate.kills);
    assert_same(&place.tables(), &expected, "on S3");
    let most = calls + fate.kills * INTERVAL * CALLS_OF_A_UNIT;
    assert!(
        fate.calls <= most,
        "{} calls after {} kills",
        fate.calls,
        fate.kills
    );
}
