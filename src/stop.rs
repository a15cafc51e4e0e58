//! Being asked to stop: by SIGINT or SIGTERM once; a second time the process just ends.

use std::future::Future;
use std::sync::Arc;

use tokio::sync::watch;

use crate::error::{Error, Result};

/// Whether the process was asked to stop. Clones share the answer.
#[derive(Debug, Clone)]
pub struct Stop(Arc<watch::Sender<bool>>);

impl Default for Stop {
    fn default() -> Self {
        Self(Arc::new(watch::Sender::new(false)))
    }
}

impl Stop {
    /// Asks.
    pub fn ask(&self) {
        self.0.send_replace(true);
    }

    /// Whether it was asked.
    pub fn is_asked(&self) -> bool {
        *self.0.borrow()
    }

    /// Does `work` unless asked to stop before it ends; it is then given up, and must be
    /// of the kind that leaves nothing half-done.
    ///
    /// # Errors
    /// [`Error::Interrupted`] when asked; else as the work fails.
    pub async fn unless_asked<T>(&self, work: impl Future<Output = Result<T>>) -> Result<T> {
        let mut asked = self.0.subscribe();
        tokio::select! {
            done = work => done,
            _ = asked.wait_for(|asked| *asked) => Err(Error::Interrupted(
                "stopped; what is finished is committed, run the same command again to go on"
                    .to_owned(),
            )),
        }
    }
}
