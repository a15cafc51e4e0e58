//! `usermirror generate`

use std::path::PathBuf;

use clap::Args;
use indicatif::HumanCount;

use super::Global;
use crate::datasets::Dataset;
use crate::error::Result;
use crate::generate::{generate, world::World};

/// Arguments of `generate`.
#[derive(Debug, Args)]
#[command(after_help = "Example:
  usermirror generate movielens --to raw --users 1000 --seed 7

The users choose by a known policy (see docs/demo-world.md), so the best possible accuracy
is known; it is printed, and the policy is written to DIR/policy.")]
pub struct Arguments {
    /// The dataset whose raw format is written
    dataset: Dataset,
    /// The folder to write
    #[arg(long, value_name = "DIR")]
    to: PathBuf,
    /// How many users to simulate
    #[arg(long, value_name = "N", default_value_t = 1000)]
    users: usize,
}

impl Arguments {
    pub(super) async fn execute(self, global: &Global) -> Result<u8> {
        let session = global.session().await?;
        let world = World::simulate(self.users, global.seed.unwrap_or(42));
        let files = generate(&session, &self.dataset, &world, &self.to).await?;
        for (file, lines) in files {
            let path = self.to.join(file);
            println!(
                "{:>12} lines in {}",
                HumanCount(lines).to_string(),
                path.display()
            );
        }
        let odds = world.odds(5);
        println!(
            "Choosing among {} items: best possible {:.1} %, always the most popular {:.1} %, \
             at random {:.1} %",
            odds.choices,
            100.0 * odds.best,
            100.0 * odds.popularity,
            100.0 / odds.choices as f64
        );
        Ok(0)
    }
}
