//! One writer: whoever changes tables of a root holds its lease meanwhile.
//!
//! On a folder the lease is a file lock, which the system gives back when its holder ends,
//! however it ends. On S3 it is an object that its holder writes anew every few seconds by
//! compare-and-swap. Nobody trusts a clock: a lease that looks old is watched for longer
//! than its holder could leave it alone, and taken over only if it did not change. Readers
//! need no lease.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Seek, Write};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt, PutMode, PutOptions, PutPayload, UpdateVersion};
use serde::{Deserialize, Serialize};
use tokio::task::JoinHandle;

use super::Lake;
use crate::error::{Error, Result};

/// The lease's name below the root.
const NAME: &str = ".lease.json";

/// How long a lease on S3 lives without being renewed, in seconds; the variable
/// `USERMIRROR_LEASE_SECONDS` sets another.
const TERM: u64 = 60;

/// Who writes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Holder {
    /// The run, as in the table `runs`.
    pub run: String,
    /// What it does, as on the command line.
    pub what: String,
    /// The machine it is on.
    pub host: String,
    /// Its process there.
    pub pid: u32,
    /// When it began, by its own clock.
    pub since: String,
    /// How often the lease was written.
    pub beat: u64,
}

impl Holder {
    /// This process, as run `run` that does `what`.
    pub fn this(run: &str, what: &str) -> Self {
        Self {
            run: run.to_owned(),
            what: what.to_owned(),
            host: gethostname::gethostname().to_string_lossy().into_owned(),
            pid: std::process::id(),
            since: chrono::Utc::now().to_rfc3339_opts(chrono::SecondsFormat::Secs, true),
            beat: 0,
        }
    }

    fn encode(&self) -> Vec<u8> {
        serde_json::to_vec(self).unwrap_or_default()
    }

    fn busy(&self, root: &str) -> Error {
        Error::Busy(format!(
            "{root} is being written by run {} (`{}`, process {} on {}, since {}); wait for it, \
             or stop it, then run the same command again",
            self.run, self.what, self.pid, self.host, self.since
        ))
    }
}

/// The right to write, until it is dropped or the process ends.
#[derive(Debug)]
pub struct Lease(Kind);

#[derive(Debug)]
enum Kind {
    /// The locked file; closing it gives the lock back.
    Folder(#[expect(dead_code, reason = "held for its lock")] File),
    Bucket(Beating),
}

/// A lease on S3 and the task that keeps it.
#[derive(Debug)]
struct Beating {
    task: JoinHandle<()>,
    state: Arc<Mutex<State>>,
    store: Arc<dyn ObjectStore>,
    path: Path,
    term: Duration,
}

#[derive(Debug)]
struct State {
    version: UpdateVersion,
    renewed: Instant,
    lost: bool,
}

impl Lake {
    /// Takes the lease for `holder`.
    ///
    /// # Errors
    /// [`Error::Busy`] when another holds it; fails when the root cannot be written.
    pub(super) async fn take_lease(&self, holder: Holder) -> Result<Lease> {
        if self.root.is_folder() {
            return self.lock(&holder);
        }
        self.claim(holder, term()?).await
    }

    /// Makes sure that the lease under which this process writes is still its own.
    ///
    /// # Errors
    /// [`Error::Busy`] when it could not be renewed in time.
    pub(super) async fn check_lease(&self) -> Result<()> {
        self.lease
            .read()
            .await
            .as_ref()
            .map_or(Ok(()), Lease::check)
    }

    /// Who holds the lease now, as far as the root tells, and on S3 how long ago it was
    /// last renewed: a holder that was killed is seen until another takes over.
    ///
    /// # Errors
    /// Fails when the root cannot be read.
    pub async fn holder(&self) -> Result<Option<(Holder, Option<Duration>)>> {
        if self.root.is_folder() {
            let holder = match OpenOptions::new().read(true).open(self.lock_file()) {
                Ok(file) if file.try_lock_shared().is_err() => read_holder(file),
                _ => None,
            };
            return Ok(holder.map(|holder| (holder, None)));
        }
        match look(&self.root.store, &self.lease_path()).await {
            Ok((holder, _, age)) => Ok(Some((holder, age))),
            Err(Error::Storage(object_store::Error::NotFound { .. })) => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn lock(&self, holder: &Holder) -> Result<Lease> {
        let path = self.lock_file();
        let failed = |e| {
            Error::Failed(format!(
                "{} cannot be written: {e}. Runs need a root they can write, queries do not: mend \
                 its rights or its mount, or name another --root",
                path.display()
            ))
        };
        let mut file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .read(true)
            .write(true)
            .open(&path)
            .map_err(failed)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(match read_holder(file) {
                    Some(holder) => holder.busy(&self.location()),
                    None => Error::Busy(format!(
                        "{} is being written by another run; run the same command again when it \
                         has ended",
                        self.location()
                    )),
                });
            }
            Err(TryLockError::Error(e)) => return Err(failed(e)),
        }
        file.set_len(0).map_err(failed)?;
        file.write_all(&holder.encode()).map_err(failed)?;
        Ok(Lease(Kind::Folder(file)))
    }

    async fn claim(&self, holder: Holder, term: Duration) -> Result<Lease> {
        let store = Arc::clone(&self.root.store);
        let path = self.lease_path();
        let version = match put(&store, &path, &holder, PutMode::Create).await {
            Ok(version) => version,
            Err(object_store::Error::AlreadyExists { .. }) => self.succeed(&holder, term).await?,
            Err(error) => return Err(error.into()),
        };
        let state = Arc::new(Mutex::new(State {
            version,
            renewed: Instant::now(),
            lost: false,
        }));
        let beat = beat(
            Arc::clone(&store),
            path.clone(),
            holder,
            term,
            Arc::clone(&state),
        );
        Ok(Lease(Kind::Bucket(Beating {
            task: tokio::spawn(beat),
            state,
            store,
            path,
            term,
        })))
    }

    /// Takes over a lease that nobody renews.
    async fn succeed(&self, holder: &Holder, term: Duration) -> Result<UpdateVersion> {
        let store = &self.root.store;
        let path = self.lease_path();
        let (theirs, version, age) = look(store, &path).await?;
        if theirs.run == holder.run {
            // Our own, of which the answer was lost.
            return Ok(version);
        }
        let fresh = age.is_some_and(|age| age < term);
        if fresh {
            return Err(theirs.busy(&self.location()));
        }
        tokio::time::sleep(term).await;
        let (later, latest, _) = look(store, &path).await?;
        if later != theirs {
            return Err(later.busy(&self.location()));
        }
        match put(store, &path, holder, PutMode::Update(latest)).await {
            Ok(version) => Ok(version),
            Err(object_store::Error::Precondition { .. }) => {
                let (winner, version, _) = look(store, &path).await?;
                if winner.run == holder.run {
                    Ok(version)
                } else {
                    Err(winner.busy(&self.location()))
                }
            }
            Err(error) => Err(error.into()),
        }
    }

    fn lock_file(&self) -> std::path::PathBuf {
        std::path::Path::new(&self.location()).join(NAME)
    }

    fn lease_path(&self) -> Path {
        self.root.prefix.clone().join(NAME)
    }
}

impl Lease {
    /// Makes sure that the lease is still held, before a commit.
    ///
    /// # Errors
    /// [`Error::Busy`] when it could not be renewed in time.
    fn check(&self) -> Result<()> {
        let Kind::Bucket(beating) = &self.0 else {
            return Ok(());
        };
        let state = beating.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.lost || state.renewed.elapsed() >= beating.term {
            return Err(Error::Busy(
                "this run could not renew its lease on the root in time, so another may be \
                 writing; nothing more was written. Run the same command again"
                    .to_owned(),
            ));
        }
        Ok(())
    }

    /// Gives the lease back.
    pub(super) async fn release(self) {
        let Kind::Bucket(beating) = self.0 else {
            return;
        };
        let lost = beating
            .state
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .lost;
        beating.task.abort();
        if !lost {
            // Left behind it would only make the next run wait.
            beating.store.delete(&beating.path).await.ok();
        }
    }
}

impl Drop for Beating {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn term() -> Result<Duration> {
    let seconds = match std::env::var("USERMIRROR_LEASE_SECONDS") {
        Ok(text) => text.parse().map_err(|_| {
            Error::Usage(format!(
                "USERMIRROR_LEASE_SECONDS={text}: not a number of seconds"
            ))
        })?,
        Err(_) => TERM,
    };
    Ok(Duration::from_secs(seconds))
}

/// Renews the lease until the task is ended or the lease is lost.
async fn beat(
    store: Arc<dyn ObjectStore>,
    path: Path,
    mut holder: Holder,
    term: Duration,
    state: Arc<Mutex<State>>,
) {
    let lock = || state.lock().unwrap_or_else(PoisonError::into_inner);
    loop {
        tokio::time::sleep(term / 6).await;
        holder.beat += 1;
        let version = lock().version.clone();
        let begun = Instant::now();
        match put(&store, &path, &holder, PutMode::Update(version)).await {
            Ok(version) => {
                let mut state = lock();
                state.version = version;
                state.renewed = begun;
            }
            Err(
                object_store::Error::Precondition { .. } | object_store::Error::NotFound { .. },
            ) => match look(&store, &path).await {
                Ok((found, version, _)) if found.run == holder.run => {
                    let mut state = lock();
                    state.version = version;
                    state.renewed = begun;
                }
                _ => {
                    lock().lost = true;
                    return;
                }
            },
            // The next beat may get through before the term ends.
            Err(error) => tracing::warn!(%error, "the lease could not be renewed"),
        }
    }
}

async fn put(
    store: &Arc<dyn ObjectStore>,
    path: &Path,
    holder: &Holder,
    mode: PutMode,
) -> object_store::Result<UpdateVersion> {
    let options = PutOptions {
        mode,
        ..PutOptions::default()
    };
    let put = store
        .put_opts(path, PutPayload::from(holder.encode()), options)
        .await?;
    Ok(put.into())
}

/// The lease's holder, version, and age by the store's clock against ours; none for an age
/// that cannot be.
async fn look(
    store: &Arc<dyn ObjectStore>,
    path: &Path,
) -> Result<(Holder, UpdateVersion, Option<Duration>)> {
    let found = store.get(path).await?;
    let meta = found.meta.clone();
    let holder = serde_json::from_slice(&found.bytes().await?)
        .map_err(|e| Error::Failed(format!("{path}: not a lease ({e}); remove it")))?;
    let age = chrono::Utc::now() - meta.last_modified;
    let version = UpdateVersion {
        e_tag: meta.e_tag,
        version: meta.version,
    };
    Ok((holder, version, age.to_std().ok()))
}

fn read_holder(mut file: File) -> Option<Holder> {
    let mut text = String::new();
    file.rewind().ok()?;
    file.read_to_string(&mut text).ok()?;
    serde_json::from_str(&text).ok()
}
