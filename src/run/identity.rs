//! What a result depends on, as hashes: a step is done again exactly when one changes.

use sha2::{Digest, Sha256};

use datafusion::common::TableReference;

use super::declared::Declared;
use crate::error::Result;
use crate::session::Session;

/// The hash of what a step does: its SQL, the parameters that the SQL names, its models
/// with how they are asked. Not what it does it to.
///
/// # Errors
/// Fails when a model is not open.
pub fn of_step(session: &Session, step: &Declared) -> Result<String> {
    let texts = || step.scripts.iter().map(|script| script.text.as_str());
    let mut parts: Vec<String> = texts().map(str::to_owned).collect();
    for (name, value) in session.parameters.values() {
        // A parameter that no file of the step names cannot change its result.
        if texts().any(|text| text.contains(&format!("@{name}"))) {
            parts.push(format!("{name}={value}"));
        }
    }
    if !step.models.is_empty() {
        parts.push(session.sampling_settings());
    }
    for (name, fingerprint) in models(session, step)? {
        parts.push(format!("{name}={fingerprint}"));
    }
    Ok(hash(&parts))
}

/// The hash of what a step that makes its table whole computes it from: the step, and its
/// inputs as they are.
///
/// # Errors
/// Fails when an input is missing or a model is not open.
pub async fn of_table(
    session: &Session,
    step: &Declared,
    inputs: &[TableReference],
) -> Result<String> {
    let mut parts = vec![
        env!("CARGO_PKG_VERSION").to_owned(),
        of_step(session, step)?,
    ];
    for input in inputs {
        parts.push(session.lake.version(input).await?);
    }
    Ok(hash(&parts))
}

/// The fingerprints of the models that a step asks, by name.
///
/// # Errors
/// Fails when one is not open.
pub fn models(session: &Session, step: &Declared) -> Result<Vec<(String, String)>> {
    let found = step.models.iter().map(|name| {
        let model = session.models.get(name)?;
        Ok((name.clone(), model.info().fingerprint.clone()))
    });
    found.collect()
}

/// How the weights of a step's models are stored and where they run, by name. No result is
/// done again for the device.
///
/// # Errors
/// Fails when one is not open.
pub fn weights(session: &Session, step: &Declared) -> Result<Vec<(String, String)>> {
    let found = step.models.iter().map(|name| {
        let model = session.models.get(name)?;
        let info = model.info();
        Ok((
            name.clone(),
            format!("{} on {}", info.precision, info.device),
        ))
    });
    found.collect()
}

/// Hex SHA-256 of `parts` and where they end.
pub fn hash<T: AsRef<str>>(parts: &[T]) -> String {
    let mut digest = Sha256::new();
    for part in parts {
        digest.update(part.as_ref());
        digest.update([0]);
    }
    let digest = digest.finalize();
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}
