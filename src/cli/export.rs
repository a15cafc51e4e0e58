//! `usermirror export`

use std::path::PathBuf;

use clap::Args;
use indicatif::HumanCount;

use super::Global;
use crate::error::Result;
use crate::export::{Format, Options, export};

/// Arguments of `export`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  usermirror export --format trl --to preferences
  usermirror export --format evaluation --to evaluation --license cc-by-4.0

The folder is a Hugging Face dataset, with a card that says how the rows were made:
datasets.load_dataset('preferences') reads it. Shards of an earlier export are replaced.
What messages and evaluation write, usermirror import preferences and evaluation read.")]
pub struct Arguments {
    /// What is written, and for whom
    #[arg(long, value_enum, default_value_t = Format::Trl)]
    format: Format,
    /// The folder to write
    #[arg(long, value_name = "DIR")]
    to: PathBuf,
    /// The card's licence: an identifier of the Hugging Face Hub
    #[arg(long, value_name = "ID", default_value = "other")]
    license: String,
}

impl Arguments {
    pub(super) async fn execute(self, global: &Global) -> Result<u8> {
        let session = global.session().await?;
        let options = Options {
            license: self.license,
            ..Options::default()
        };
        let exported = export(&session, self.format, &self.to, &options).await?;
        println!(
            "{} rows in {} ({} files)",
            HumanCount(exported.rows as u64),
            self.to.display(),
            exported.shards
        );
        Ok(0)
    }
}
