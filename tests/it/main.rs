//! Integration tests: one binary, a file a subject.

mod command_line;
mod distill;
mod prompts;
mod reference;
mod scenarios;
mod slt;
mod support;
