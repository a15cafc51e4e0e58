//! A lake on a real S3 server (`tests/servers/s3.py`).

use super::Place;
use crate::servers;

pub struct Server(servers::Server);

impl Server {
    /// Starts the server with `arguments`; it ends with this process, however that ends.
    pub fn start(arguments: &[&str]) -> Self {
        Self(servers::Server::start("s3.py", arguments))
    }

    /// How to reach it, as everyone who uses S3 says it, with leases that live for `lease`
    /// seconds.
    fn variables(&self, lease: &str) -> Vec<(String, String)> {
        let endpoint = format!("http://127.0.0.1:{}", self.0.port);
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
