//! `usermirror config`

use clap::{Args, Subcommand};

use super::Global;
use crate::error::Result;

/// Arguments of `config`.
#[derive(Debug, Args)]
pub struct Arguments {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Print every setting, its value, and where the value came from
    Show,
}

impl Arguments {
    pub(super) fn execute(self, global: &Global) -> Result<u8> {
        let Action::Show = self.action;
        let settings = global.settings(None, vec![])?;
        let all: Vec<_> = settings.all().collect();
        let width = |text: fn(&(&str, &str)) -> usize| {
            all.iter()
                .map(|(name, value, _)| text(&(name, value)))
                .max()
                .unwrap_or(0)
        };
        let (names, values) = (width(|row| row.0.len()), width(|row| row.1.chars().count()));
        for (name, value, origin) in &all {
            println!("{name:<names$}  {value:<values$}  {origin}");
        }
        Ok(0)
    }
}
