//! Servers out of `tests/servers`, each started by the test that uses it.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

pub struct Server {
    process: Child,
    pub port: u16,
}

impl Server {
    /// Starts `script` with `arguments`; it ends with this process, however that ends.
    pub fn start(script: &str, arguments: &[&str]) -> Self {
        let home = Path::new(env!("CARGO_MANIFEST_DIR"));
        let mut process = Command::new("python3")
            .arg(home.join("tests/servers").join(script))
            .args(arguments)
            .current_dir(home)
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
        let Ok(port) = line.trim().parse() else {
            panic!("{script} did not start: make servers");
        };
        Self { process, port }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.process.kill().ok();
        self.process.wait().ok();
    }
}
