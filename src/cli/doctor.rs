//! `usermirror doctor`

use std::collections::BTreeMap;

use clap::Args;
use datafusion::common::TableReference;

use super::Global;
use crate::error::Result;
use crate::report;
use crate::session::Session;

/// What `--against` is called in SQL.
const AGAINST: &str = "against";

/// Arguments of `doctor`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  usermirror doctor
  usermirror doctor --model models/weak-int8 --against models/weak

The second one asks both models for the letters after decisions of the lake, and tells how far apart
they are: what int8 weights cost on your own scenarios. The query is sql/doctor/weights.sql.")]
pub struct Arguments {
    /// Model folders to load and describe
    #[arg(long = "model", value_name = "DIR", default_values = ["models/strong", "models/weak"])]
    models: Vec<String>,
    /// The folder of the same model in fp32, to measure what the smaller weights of each --model cost
    #[arg(long, value_name = "DIR")]
    against: Option<String>,
    /// Where models run: cpu, cuda:N, cuda (on every GPU), or auto (on GPUs if there are any)
    #[arg(long, default_value = "auto")]
    device: String,
}

impl Arguments {
    /// Looks at everything and reports each finding; fails when one is bad.
    pub(super) async fn execute(self, global: &Global) -> Result<u8> {
        let mut healthy = true;
        let mut report = |what: &str, finding: std::result::Result<String, String>| {
            healthy &= finding.is_ok();
            match finding {
                Ok(text) => println!("ok    {what}: {text}"),
                Err(text) => println!("BAD   {what}: {text}"),
            }
        };
        let session = global.session().await?;
        let datasets = session.scripts.datasets()?;
        report("datasets", Ok(datasets.join(", ")));
        report("lake", Ok(session.lake.location()));
        if let Some(location) = &self.against {
            let options = BTreeMap::new();
            session
                .open_model(AGAINST, location, &self.device, options)
                .await?;
        }
        for (i, location) in self.models.iter().enumerate() {
            let name = format!("model{i}");
            let opened = session.open_model(&name, location, &self.device, BTreeMap::new());
            let finding = match opened.await {
                Ok(()) => described(&session, &name),
                Err(error) => Err(error),
            };
            let is_open = finding.is_ok();
            report(location, finding.map_err(|error| error.to_string()));
            if is_open && self.against.is_some() {
                compare(&session, &name).await?;
            }
        }
        Ok(u8::from(!healthy))
    }
}

fn described(session: &Session, model: &str) -> Result<String> {
    let model = session.models.get(model)?;
    let info = model.info();
    Ok(format!(
        "{} {} on {}, context {}, vocabulary {}",
        info.family, info.precision, info.device, info.context_length, info.vocabulary
    ))
}

/// Prints how far `model` is from the one it is held against.
async fn compare(session: &Session, model: &str) -> Result<()> {
    session.parameters.set("model", model)?;
    session.parameters.set("against", AGAINST)?;
    for script in session.scripts.folder("sql/doctor")? {
        for table in script.list("inputs") {
            if !session.lake.contains(&TableReference::from(table)).await? {
                println!(
                    "      weights: not compared, for {} has no table {table}; they are compared on \
                     its own scenarios and decisions: `usermirror run` first, or another --root",
                    session.lake.location()
                );
                return Ok(());
            }
        }
        report::print_one(session, &script).await?;
    }
    Ok(())
}
