//! The table `quarantine`: bad rows with file, line, reason and raw text.

use datafusion::common::TableReference;

use super::account::Account;
use super::stage::staged_name;
use super::texts;
use crate::datasets::Dataset;
use crate::error::Result;
use crate::session::Session;

/// Writes the dataset's `quarantine`: lines that could not be parsed, and rows that make
/// no sense, whose text is read again from the raw file.
pub async fn write(session: &Session, dataset: &Dataset, accounts: &[Account]) -> Result<()> {
    let mut parts =
        vec!["SELECT '' AS file, 0 AS line, '' AS reason, '' AS raw WHERE false".to_owned()];
    for account in accounts.iter().filter(|account| account.quarantined() > 0) {
        let staged = staged_name(dataset, &account.table);
        if account.table.starts_with("raw_") {
            parts.push(format!(
                "SELECT file, line, error AS reason, raw FROM {staged} WHERE error IS NOT NULL"
            ));
            continue;
        }
        for file in files(session, &staged).await? {
            parts.push(rows_of(&staged, file.as_deref()));
        }
    }
    let query = format!(
        "SELECT '{}' AS dataset, file, line, reason, raw FROM ({}) ORDER BY file, line, reason",
        dataset.key(),
        parts.join(" UNION ALL ")
    );
    let stream = session.ctx.sql(&query).await?.execute_stream().await?;
    let table = TableReference::partial(dataset.key(), "quarantine");
    session.lake.write(&session.ctx, &table, stream).await?;
    Ok(())
}

/// The raw files that quarantined rows of `staged` come from.
async fn files(session: &Session, staged: &TableReference) -> Result<Vec<Option<String>>> {
    let query =
        format!("SELECT DISTINCT file FROM {staged} WHERE quarantined IS NOT NULL ORDER BY 1");
    texts(session.ctx.sql(&query).await?).await
}

fn rows_of(staged: &TableReference, file: Option<&str>) -> String {
    match file {
        None => format!(
            "SELECT file, line, quarantined AS reason, NULL AS raw FROM {staged} \
             WHERE quarantined IS NOT NULL AND file IS NULL"
        ),
        Some(file) => {
            let file = file.replace('\'', "''");
            format!(
                "SELECT s.file, s.line, s.quarantined AS reason, \
                        left(coalesce(l.text, l.raw), 1000) AS raw \
                 FROM (SELECT * FROM {staged} WHERE quarantined IS NOT NULL AND file = '{file}') AS s \
                 LEFT JOIN read_lines('{file}') AS l ON l.line = s.line"
            )
        }
    }
}
