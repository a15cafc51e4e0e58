//! What became of the rows of a table: kept, filtered by a rule, or quarantined.

use datafusion::arrow::array::{AsArray, RecordBatch};
use datafusion::arrow::datatypes::Int64Type;
use datafusion::common::{ScalarValue, TableReference};
use datafusion::prelude::{DataFrame, SessionContext};

use crate::error::{Error, Result};

/// What became of the rows of one table.
#[derive(Debug, Clone)]
pub struct Account {
    /// `users`, `items`, `interactions`, or a raw table.
    pub table: String,
    /// Rows read.
    pub read: i64,
    /// Rows kept.
    pub kept: i64,
    /// Rows not kept, as `(fate, reason, rows)` with fate `filtered` or `quarantined`.
    pub dropped: Vec<(String, String, i64)>,
}

impl Account {
    /// How many rows are in quarantine.
    pub fn quarantined(&self) -> i64 {
        self.bad().map(|(.., rows)| rows).sum()
    }

    /// The kinds of quarantined rows.
    fn bad(&self) -> impl Iterator<Item = &(String, String, i64)> {
        self.dropped
            .iter()
            .filter(|(fate, ..)| fate == "quarantined")
    }
}

/// Accounts for the lines of a staged raw table.
pub async fn of_lines(ctx: &SessionContext, raw: &str, staged: &TableReference) -> Result<Account> {
    let counts = ctx
        .sql(&format!(
            "SELECT 'quarantined' AS fate, error AS reason, count(*) AS rows \
             FROM {staged} GROUP BY error ORDER BY rows DESC, reason"
        ))
        .await?;
    tally(raw, counts).await
}

/// Accounts for the rows of `relation`, which says of each whether it is quarantined or
/// filtered.
///
/// # Errors
/// Fails when the relation cannot be read.
pub async fn of_rows(
    ctx: &SessionContext,
    table: &str,
    relation: &TableReference,
) -> Result<Account> {
    let counts = ctx
        .sql(&format!(
            "SELECT CASE WHEN quarantined IS NOT NULL THEN 'quarantined' ELSE 'filtered' END AS fate, \
                    coalesce(quarantined, filtered) AS reason, count(*) AS rows \
             FROM {relation} GROUP BY 1, 2 ORDER BY rows DESC, reason"
        ))
        .await?;
    tally(table, counts).await
}

/// Sums rows of `(fate, reason, rows)`; those without a reason are kept.
async fn tally(table: &str, counts: DataFrame) -> Result<Account> {
    let mut account = Account {
        table: table.to_owned(),
        read: 0,
        kept: 0,
        dropped: vec![],
    };
    for batch in counts.collect().await? {
        let rows = batch.column(2).as_primitive::<Int64Type>();
        for i in 0..batch.num_rows() {
            let count = rows.value(i);
            account.read += count;
            match text_at(&batch, 1, i)? {
                None => account.kept += count,
                Some(reason) => {
                    let fate = text_at(&batch, 0, i)?.unwrap_or_default();
                    account.dropped.push((fate, reason, count));
                }
            }
        }
    }
    Ok(account)
}

/// The text at a cell of any string type.
fn text_at(batch: &RecordBatch, column: usize, row: usize) -> Result<Option<String>> {
    let value = ScalarValue::try_from_array(batch.column(column), row)?;
    Ok(value.try_as_str().flatten().map(str::to_owned))
}

/// Fails when any row is in quarantine, and says which kinds of rows are.
pub fn refuse_bad_rows(accounts: &[Account]) -> Result<()> {
    let lines: Vec<_> = accounts
        .iter()
        .flat_map(|account| account.bad().map(move |bad| (account, bad)))
        .take(10)
        .map(|(account, (_, reason, rows))| format!("  {}: {rows} × {reason}", account.table))
        .collect();
    if lines.is_empty() {
        return Ok(());
    }
    Err(Error::Failed(format!(
        "--strict: bad rows, nothing was written:\n{}\nMend the files, or leave --strict out \
         to put these rows into quarantine",
        lines.join("\n")
    )))
}
