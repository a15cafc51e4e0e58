//! `usermirror generate`

use std::path::PathBuf;

use clap::Args;
use indicatif::HumanCount;

use super::Global;
use crate::datasets::Dataset;
use crate::error::Result;
use crate::generate::{ITEM_COUNT, generate, world::World};
use crate::progress::Step;

/// Arguments of `generate`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  usermirror generate movielens --to raw --users 1000 --seed 7
  usermirror generate amazon/Demo_Category --to raw --items 20000

The users choose by a known policy (see docs/demo-world.md), so the best possible accuracy
is known; it is printed, and the policy is written to DIR/policy. With more than 2,000 users
the figure is that of 2,000 of them, drawn at random.")]
pub struct Arguments {
    /// The dataset whose raw format is written, with /VARIANT where files are named after one
    dataset: Dataset,
    /// The folder to write
    #[arg(long, value_name = "DIR")]
    to: PathBuf,
    /// How many users to simulate, about 30 events each
    #[arg(long, value_name = "N", default_value_t = 1000)]
    users: usize,
    /// How many items there are to choose from
    #[arg(long, value_name = "N", default_value_t = ITEM_COUNT)]
    items: usize,
}

impl Arguments {
    pub(super) async fn execute(self, global: &Global) -> Result<u8> {
        let session = global.session().await?;
        let world = World::new(self.users, global.seed.unwrap_or(42)).with_items(self.items)?;
        for (file, lines) in generate(&session, &self.dataset, &world, &self.to).await? {
            let path = self.to.join(file);
            println!(
                "{:>12} lines in {}",
                HumanCount(lines).to_string(),
                path.display()
            );
        }
        print_odds(&world);
        Ok(0)
    }
}

fn print_odds(world: &World) {
    let step = Step::start("computing the best possible accuracy");
    let odds = world.odds(5);
    step.end("");
    println!(
        "Choosing among {} items: best possible {:.1} %, always the most popular {:.1} %, \
         at random {:.1} %",
        odds.choices,
        100.0 * odds.best,
        100.0 * odds.popularity,
        100.0 / odds.choices as f64
    );
}
