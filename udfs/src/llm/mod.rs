//! Model functions, the operator that runs them, and the model engine.

pub mod backend;
mod chat;
#[cfg(test)]
mod demo;
pub mod engine;
pub mod folder;
mod graph;
mod letters;
mod load;
pub mod runtime;
mod sampler;
mod tokens;

pub use load::LoadError;
