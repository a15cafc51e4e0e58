//! Generated data: worlds whose users choose by a known rule.

mod catalogue;
mod draws;
mod population;
pub mod world;
mod world_tables;
