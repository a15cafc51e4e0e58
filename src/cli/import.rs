//! `usermirror import`

use std::path::PathBuf;

use clap::Args;
use indicatif::HumanCount;

use super::Global;
use super::ingest::describe;
use crate::error::Result;
use crate::import::{Form, import};

/// Arguments of `import`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  usermirror import evaluation --from UserMirrorer-eval
  usermirror import preferences --from preferences.jsonl.gz
  usermirror import pipeline --from project
  usermirror run --from distill

Files are Parquet or JSON Lines (may be gzipped); a folder is searched for them. A project
folder has datasets/NAME_train.jsonl and NAME_eval.jsonl, and, where they were made,
decisions/NAME_decisions_strong.jsonl and probs/NAME_probs_strong.jsonl, likewise _weak.

Evaluation sets become scenarios of split eval, put before a model with the instructions
of --set style=brief or full. Scenarios already in the lake are replaced, others stay.
Go on by usermirror run --from decisions, scores or distill.

Rows that make no sense are left out and kept, with the reason, in import.quarantine:
  usermirror sql -c 'SELECT reason, count(*) FROM import.quarantine GROUP BY reason'
Of a project folder, whose files are joined by their rows, all is taken or nothing.")]
pub struct Arguments {
    /// What the files are
    #[arg(value_enum)]
    form: Form,
    /// The file, or the folder with the files
    #[arg(long, value_name = "PATH")]
    from: PathBuf,
}

impl Arguments {
    pub(super) async fn execute(self, global: &Global) -> Result<u8> {
        let session = global.session().await?;
        let imported = import(&session, self.form, &self.from).await?;
        println!("{}", describe(&imported.account));
        for (table, rows) in imported.tables {
            println!(
                "{table:<16} {:>12} rows",
                HumanCount(rows as u64).to_string()
            );
        }
        Ok(0)
    }
}
