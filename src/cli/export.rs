//! `usermirror export`

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::Global;
use crate::error::Result;
use crate::export::export;

/// Arguments of `export`.
#[derive(Debug, Args)]
#[command(after_help = "Example:
  usermirror export --format trl --to preferences

The folder is a Hugging Face dataset: datasets.load_dataset('preferences') reads it.")]
pub struct Arguments {
    /// The trainer's format
    #[arg(long, value_enum, default_value_t = Format::Trl)]
    format: Format,
    /// The folder to write
    #[arg(long, value_name = "DIR")]
    to: PathBuf,
}

/// The forms in which preference pairs are written, each a file of `sql/export`.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum Format {
    /// prompt, chosen, rejected: lists of messages, for TRL's DPOTrainer
    Trl,
    /// messages_chosen, messages_rejected beside ids and the impression list
    Messages,
    /// messages: the chosen conversation alone, for supervised fine-tuning
    Sft,
}

impl Arguments {
    pub(super) async fn execute(self, global: &Global) -> Result<u8> {
        let session = global.session().await?;
        let name = match self.format {
            Format::Trl => "trl",
            Format::Messages => "messages",
            Format::Sft => "sft",
        };
        let rows = export(&session, name, &self.to).await?;
        println!("{rows} rows in {}", self.to.display());
        Ok(0)
    }
}
