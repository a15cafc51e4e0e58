//! Integration tests: one binary, a file a subject.

mod command_line;
mod distill;
mod scenarios;
mod slt;
mod support;
