//! Model functions, the operator that runs them, and the model engine.
//!
//! | file | what it does |
//! | --- | --- |
//! | [`backend`] | what a model can be asked, whatever runs it |
//! | `functions/` | the model functions as SQL sees them |
//! | `rule/` | lifts calls of model functions into `Infer` nodes |
//! | `operator/` | runs an `Infer` node: keeps the engine full, emits in order |
//! | [`engine`] | the model engine: a folder's model, run here |
//! | [`encoder`] | a folder's model that embeds texts |
//! | [`http`] | a model served elsewhere |
//! | [`counting`] | a model that only counts what it would read |
//! | [`models`], [`catalog`] | the registered models, and models as tables |
//! | [`settings`], [`progress`] | how a session draws; how it is watched |
//! | [`install`](install()) | gives a session all of these |

#[cfg(target_arch = "x86_64")]
mod attention;
pub mod backend;
mod call;
pub mod catalog;
mod chat;
pub mod counting;
#[cfg(test)]
mod demo;
pub mod device;
pub mod encoder;
pub mod engine;
pub mod folder;
mod functions;
mod graph;
pub mod http;
mod install;
mod letters;
mod load;
pub mod models;
mod node;
mod operator;
pub mod planner;
pub mod progress;
mod rule;
pub mod runtime;
mod sampler;
pub mod settings;
pub mod store;
#[cfg(test)]
mod tests;
mod tokens;

pub use functions::functions;
pub use install::install;
pub use load::LoadError;
