//! Model functions, the operator that runs them, and the model engine.

pub mod backend;
