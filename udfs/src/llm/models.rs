//! The models a session can ask, by name.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use datafusion::common::plan_err;
use datafusion::error::Result;

use super::backend::Backend;
use super::counting::Counting;

type Backends = BTreeMap<String, Arc<dyn Backend>>;

/// The registered models. Sessions that share it share the loaded models.
#[derive(Debug, Default)]
pub struct Models {
    backends: RwLock<Backends>,
}

impl Models {
    /// Makes `backend` answer to `name`, in place of any model that did so before.
    pub fn register(&self, name: impl Into<String>, backend: Arc<dyn Backend>) {
        self.write().insert(name.into(), backend);
    }

    /// The model called `name`.
    ///
    /// # Errors
    /// A planning error that names the registered models when there is none.
    pub fn get(&self, name: &str) -> Result<Arc<dyn Backend>> {
        let backends = self.read();
        if let Some(backend) = backends.get(name) {
            return Ok(Arc::clone(backend));
        }
        let known = if backends.is_empty() {
            "none is registered".to_owned()
        } else {
            let names: Vec<_> = backends.keys().map(|name| format!("'{name}'")).collect();
            format!("registered: {}", names.join(", "))
        };
        plan_err!(
            "no model is called '{name}' ({known}); register it with \
             CREATE EXTERNAL TABLE <name> STORED AS MODEL LOCATION '<folder or URL>'"
        )
    }

    /// The same names, whose models only count what they would read.
    pub fn counting(&self) -> Self {
        let backends = self.read().clone().into_iter().map(|(name, backend)| {
            let counting: Arc<dyn Backend> = Arc::new(Counting::new(backend));
            (name, counting)
        });
        Self {
            backends: RwLock::new(backends.collect()),
        }
    }

    /// Lets go of `name` if `backend` is still what it stands for.
    pub(super) fn forget(&self, name: &str, backend: &Arc<dyn Backend>) {
        let mut backends = self.write();
        if backends
            .get(name)
            .is_some_and(|current| Arc::ptr_eq(current, backend))
        {
            backends.remove(name);
        }
    }

    // No code can panic while it holds the lock, so a poisoned map is whole.
    fn read(&self) -> RwLockReadGuard<'_, Backends> {
        self.backends.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Backends> {
        self.backends
            .write()
            .unwrap_or_else(PoisonError::into_inner)
    }
}
