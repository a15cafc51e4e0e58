//! Many short requests of random lengths, some of them dropped half-way: each is answered
//! once, no slot stays taken, and memory stays as it is.
//!
//! `cargo test --workspace --bins --tests long_soak -- --ignored` runs 10,000 of them, alone
//! in its process, and so can look at its memory.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use futures::future::join_all;

use super::tests::{engine, sampling, user};
use super::*;
use crate::sampling::keys::{Draws, unit_interval};

/// Requests in flight together.
const WAVE: usize = 100;

/// Bytes of this process that are in memory.
fn resident() -> usize {
    let pages = std::fs::read_to_string("/proc/self/statm").unwrap();
    let pages: usize = pages.split(' ').nth(1).unwrap().parse().unwrap();
    pages * 4096
}

#[derive(Default)]
struct Counts {
    answered: AtomicUsize,
    dropped: AtomicUsize,
}

/// Asks request `number`, a third of them for as long as patience lasts.
async fn ask(engine: &Engine, number: usize, counts: &Counts) {
    let mut draws = Draws::new(number as u64);
    let mut below = |limit: f64| (unit_interval(draws.bits()) * limit) as usize;
    let messages = user(&"Amber Bridge, rated 4/5. ".repeat(below(12.0)));
    let count = 1 + below(8.0);
    let patience = Duration::from_micros(below(60_000.0) as u64);
    let impatient = below(3.0) == 0;
    let settings = sampling(1 + below(40.0));
    let call = async {
        if below(4.0) == 0 {
            let reply = engine.choose(&messages, "Thought: y", 5).await.unwrap();
            assert_eq!(reply.value.probs.len(), 5);
        } else {
            let reply = engine.decide(&messages, count, &settings).await.unwrap();
            assert_eq!(reply.value.len(), count);
        }
    };
    let answered = match impatient {
        true => tokio::time::timeout(patience, call).await.is_ok(),
        false => {
            call.await;
            true
        }
    };
    let counter = if answered {
        &counts.answered
    } else {
        &counts.dropped
    };
    counter.fetch_add(1, Ordering::Relaxed);
}

/// Asks `requests` times and gives the bytes by which memory has grown since the first
/// quarter of them.
async fn soak(requests: usize) -> usize {
    // What is kept of prompts has its limit, which is soon reached.
    let engine = engine(16, 32 << 20);
    let counts = Counts::default();
    let mut settled = 0;
    for wave in 0..requests / WAVE {
        let numbers = wave * WAVE..(wave + 1) * WAVE;
        join_all(numbers.map(|number| ask(&engine, number, &counts))).await;
        if wave == requests / WAVE / 4 {
            settled = resident();
        }
    }
    let answered = counts.answered.load(Ordering::Relaxed);
    let dropped = counts.dropped.load(Ordering::Relaxed);
    assert_eq!(answered + dropped, requests);
    assert!(dropped > requests / 20, "only {dropped} were dropped");
    let grown = resident().saturating_sub(settled);
    let ended = Instant::now();
    while engine.live() > 0 {
        assert!(
            ended.elapsed() < Duration::from_secs(10),
            "slots are still taken"
        );
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    println!(
        "{answered} answered, {dropped} dropped, {} KiB more in memory",
        grown >> 10
    );
    grown
}

#[tokio::test]
async fn a_soak_of_short_requests_leaves_no_slot_taken() {
    soak(800).await;
}

#[tokio::test]
#[ignore = "takes a minute, and looks at the memory of the whole process"]
async fn a_long_soak_leaves_nothing_behind() {
    let grown = soak(10_000).await;
    assert!(grown < 16 << 20, "{} MiB more in memory", grown >> 20);
}
