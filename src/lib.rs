//! usermirror.

pub mod generate;
