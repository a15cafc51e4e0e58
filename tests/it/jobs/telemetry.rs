//! What machines are told of a run.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::sync::mpsc;

use serde_json::Value;

use super::{Place, SECOND, said, succeeded};

#[test]
fn the_log_is_json_lines_with_counts_and_without_prompts() {
    let place = Place::local();
    let (_, log) = said(&place.run(&["--log-format", "json"]).output().unwrap());
    let lines: Vec<Value> = log
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let commits: Vec<_> = lines
        .iter()
        .filter(|line| line["message"] == "committed")
        .collect();
    assert!(commits.len() >= 12, "{} commits", commits.len());
    for commit in &commits {
        assert!(
            commit["run"].is_string() && commit["step"].is_string(),
            "{commit}"
        );
        assert!(commit["rows"].as_u64().unwrap() > 0, "{commit}");
    }
    let rows = |step: &str| -> u64 {
        let commits = commits.iter().filter(|commit| commit["step"] == step);
        commits.map(|commit| commit["rows"].as_u64().unwrap()).sum()
    };
    assert_eq!(rows("decisions/strong"), 96);
    assert!(
        !log.contains("Stimulus") && !log.contains("## History"),
        "text of a prompt"
    );
}

#[test]
fn metrics_are_kept_in_a_file() {
    let place = Place::local();
    let file = place.folder.path().join("usermirror.prom");
    let name = file.to_string_lossy().into_owned();
    succeeded(&place.run(&["--metrics", &name]).output().unwrap());
    let metrics = std::fs::read_to_string(file).unwrap();
    assert!(
        metrics.contains("usermirror_rows_total{step=\"decisions/weak\"} 96"),
        "{metrics}"
    );
    assert!(
        metrics.contains("# TYPE usermirror_commits_total counter"),
        "{metrics}"
    );
}

#[test]
fn traces_go_where_the_environment_says() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    let (got, traces) = mpsc::channel();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = BufReader::new(stream.unwrap());
            let (mut head, mut length) = (String::new(), 0);
            loop {
                let mut line = String::new();
                stream.read_line(&mut line).unwrap();
                if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                    length = value.trim().parse().unwrap();
                }
                if line.trim().is_empty() {
                    break;
                }
                head.push_str(&line);
            }
            let mut body = vec![0; length];
            stream.read_exact(&mut body).unwrap();
            let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
            stream.get_mut().write_all(answer).unwrap();
            got.send((head, String::from_utf8_lossy(&body).into_owned()))
                .unwrap();
        }
    });
    let place = Place::local();
    let mut run = place.run(&[]);
    run.env("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint);
    succeeded(&run.output().unwrap());
    let (head, mut body) = traces.recv_timeout(SECOND * 10).unwrap();
    assert!(head.starts_with("POST /v1/traces"), "{head}");
    while let Ok((_, more)) = traces.recv_timeout(SECOND) {
        body.push_str(&more);
    }
    for name in ["usermirror", "run", "step", "chunk", "decisions/strong"] {
        assert!(body.contains(name), "no {name} in the spans");
    }
}
