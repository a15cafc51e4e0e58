//! `usermirror doctor`

use std::collections::BTreeMap;

use clap::Args;

use super::Global;
use crate::error::Result;

/// Arguments of `doctor`.
#[derive(Debug, Args)]
pub struct Arguments {
    /// Model folders to load and describe
    #[arg(long = "model", value_name = "DIR", default_values = ["models/strong", "models/weak"])]
    models: Vec<String>,
    /// Where models run: cpu, cuda:N or auto
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
        for (i, location) in self.models.iter().enumerate() {
            let name = format!("model{i}");
            let opened = session.open_model(&name, location, &self.device, BTreeMap::new());
            let finding = match opened.await {
                Ok(()) => {
                    let model = session.models.get(&name)?;
                    let info = model.info();
                    Ok(format!(
                        "{} {} on {}, context {}, vocabulary {}",
                        info.family,
                        info.precision,
                        info.device,
                        info.context_length,
                        info.vocabulary
                    ))
                }
                Err(error) => Err(error.to_string()),
            };
            report(location, finding);
        }
        Ok(u8::from(!healthy))
    }
}
