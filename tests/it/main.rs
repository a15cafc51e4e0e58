//! Integration tests: one binary, a file a subject.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that cannot go on has failed"
)]

mod bring_your_own;
mod command_line;
mod distill;
mod evaluate;
mod export;
mod hostile;
mod import;
mod jobs;
mod project;
mod prompts;
mod reference;
mod scenarios;
mod served;
mod servers;
mod slt;
mod support;
