//! A real S3 server, started by the test that uses it (`tests/servers/s3.py`).

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use super::Place;

pub struct Server {
    process: Child,
    port: u16,
}

impl Server {
    /// Starts the server with `arguments`; it ends with this process, however that ends.
    pub fn start(arguments: &[&str]) -> Self {
        let home = Path::new(env!("CARGO_MANIFEST_DIR"));
        let mut process = Command::new("python3")
            .arg(home.join("tests/servers/s3.py"))
            .args(arguments)
            .env("PYTHONPATH", home.join(".servers"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(process.stdout.take().unwrap())
            .read_line(&mut line)
            .unwrap();
        let port = line
            .trim()
            .parse()
            .expect("the S3 server did not start: make servers");
        Self { process, port }
    }

    /// How to reach it, as everyone who uses S3 says it, with leases that live for `lease`
    /// seconds.
    fn variables(&self, lease: &str) -> Vec<(String, String)> {
        let endpoint = format!("http://127.0.0.1:{}", self.port);
        let variables = [
            ("AWS_ENDPOINT", endpoint.as_str()),
            ("AWS_ALLOW_HTTP", "true"),
            ("AWS_ACCESS_KEY_ID", "test"),
            ("AWS_SECRET_ACCESS_KEY", "a-secret-of-the-test"),
            ("AWS_REGION", "us-east-1"),
            ("AWS_EC2_METADATA_DISABLED", "true"),
            ("AWS_TIMEOUT", "4s"),
            ("USERMIRROR_LEASE_SECONDS", lease),
        ];
        let variables = variables.map(|(name, value)| (name.to_owned(), value.to_owned()));
        variables.to_vec()
    }

    /// A place below prefix `prefix` of its bucket, with a small ingested world; a lease
    /// lives for `lease` seconds.
    pub fn place(&self, prefix: &str, lease: &str) -> Place {
        let folder = tempfile::tempdir().unwrap();
        Place::at(folder, format!("s3://lake/{prefix}"), self.variables(lease))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.process.kill().ok();
        self.process.wait().ok();
    }
}
