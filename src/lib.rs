//! usermirror turns recommender logs into a preference-aligned user simulator.
//!
//! This crate is the engine around the SQL: a [`session`] over a [`lake`] of tables,
//! [`ingest`] of raw files, [`import`] of published work, the pipeline ([`run`]) and the command line ([`cli`]). The
//! method itself is in `sql/`, what is special about a dataset in `datasets/`, and the
//! functions both call in the crate `usermirror-udfs`.

pub mod cli;
mod commits;
pub mod datasets;
pub mod error;
pub mod export;
pub mod generate;
pub mod import;
pub mod ingest;
pub mod lake;
pub mod ledger;
mod lineage;
pub mod models;
pub mod parameters;
pub mod progress;
pub mod report;
pub mod run;
pub mod scripts;
pub mod session;
pub mod settings;
pub mod stop;
pub mod telemetry;

pub use error::{Error, Result};
