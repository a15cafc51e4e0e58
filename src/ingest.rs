//! Ingest: a publisher's raw files become the tables `users`, `items`, `interactions`.
//!
//! Every raw line is accounted for: it is kept, filtered by a named rule, or put into
//! the dataset's `quarantine` table with a reason.

use std::path::Path;

use datafusion::arrow::array::{AsArray, RecordBatch};
use datafusion::arrow::datatypes::Int64Type;
use datafusion::common::TableReference;
use datafusion::prelude::{DataFrame, SessionContext};

use crate::error::{Error, Result};
use crate::lake::create_schema;
use crate::ledger;
use crate::progress::Step;
use crate::session::Session;

/// The normalised tables, in the order they are made, and the order of their rows.
const TABLES: [(&str, &str); 3] = [
    ("users", "user_id"),
    ("items", "item_id"),
    ("interactions", "user_id, ts, row"),
];

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
    fn quarantined(&self) -> i64 {
        let quarantined = self
            .dropped
            .iter()
            .filter(|(fate, ..)| fate == "quarantined");
        quarantined.map(|(.., rows)| rows).sum()
    }
}

/// Reads dataset `name` from the folder `from` into the lake.
///
/// # Errors
/// Fails on an unknown dataset, a missing file, and, when `strict`, on any bad row;
/// the lake's tables then stay as they were.
pub async fn ingest(
    session: &Session,
    name: &str,
    from: &Path,
    strict: bool,
) -> Result<Vec<Account>> {
    session.scripts.require_dataset(name)?;
    if !from.is_dir() {
        return Err(Error::Usage(format!(
            "--from {}: not a folder",
            from.display()
        )));
    }
    let session = session.sister_over(Some(from.to_owned())).await?;
    enter_schema(&session.ctx, name)?;

    let raw = stage_raw(&session, name).await?;
    let outcome = normalise(&session, name, raw.clone(), strict).await;
    for account in &raw {
        let staged = staged_name(name, &account.table);
        session.lake.remove(&session.ctx, &staged).await?;
    }
    outcome
}

/// Turns the staged raw tables into the dataset's tables and accounts for every row.
async fn normalise(
    session: &Session,
    name: &str,
    raw: Vec<Account>,
    strict: bool,
) -> Result<Vec<Account>> {
    let mut accounts = raw;
    for (table, _) in TABLES {
        let script = session
            .scripts
            .file(&format!("datasets/{name}/{table}.sql"))?;
        script.run(&session.ctx).await?;
        accounts.push(account(&session.ctx, table).await?);
    }
    if strict {
        refuse_bad_rows(&accounts)?;
    }
    write_quarantine(session, name, &accounts).await?;
    for (table, order) in TABLES {
        write_table(session, name, table, order).await?;
    }
    Ok(accounts)
}

/// Makes `name` the schema in which unqualified relations of `ctx` live.
///
/// # Errors
/// Fails when the catalog refuses.
pub fn enter_schema(ctx: &SessionContext, name: &str) -> Result<()> {
    create_schema(ctx, name)?;
    let state = ctx.state_ref();
    let mut state = state.write();
    state.config_mut().options_mut().catalog.default_schema = name.to_owned();
    Ok(())
}

/// Parses each raw file once into a staged table, and leaves a view of its good lines
/// under the raw table's name for the dataset's SQL to read.
async fn stage_raw(session: &Session, name: &str) -> Result<Vec<Account>> {
    let ctx = &session.ctx;
    let script = session.scripts.file(&format!("datasets/{name}/raw.sql"))?;
    script.run(ctx).await?;
    let mut accounts = vec![];
    for raw in raw_tables(ctx, name).await? {
        let step = Step::start(&format!("reading {raw}"));
        let staged = staged_name(name, &raw);
        let stream = ctx.table(raw.as_str()).await?.execute_stream().await?;
        let rows = session.lake.write(ctx, &staged, stream).await?;
        ctx.sql(&format!(
            "CREATE OR REPLACE VIEW {raw} AS \
             SELECT * EXCEPT (error, raw) FROM {staged} WHERE error IS NULL"
        ))
        .await?;
        accounts.push(malformed(ctx, &raw, &staged).await?);
        step.finish(rows);
    }
    Ok(accounts)
}

async fn raw_tables(ctx: &SessionContext, name: &str) -> Result<Vec<String>> {
    let options = ctx.state().config().options().catalog.clone();
    let schema = ctx
        .catalog(&options.default_catalog)
        .and_then(|catalog| catalog.schema(name));
    let mut names = schema.map_or_else(Vec::new, |schema| schema.table_names());
    names.retain(|table| table.starts_with("raw_"));
    names.sort();
    Ok(names)
}

fn staged_name(dataset: &str, raw: &str) -> TableReference {
    TableReference::partial(dataset, format!("staged_{raw}"))
}

async fn malformed(ctx: &SessionContext, raw: &str, staged: &TableReference) -> Result<Account> {
    let counts = ctx
        .sql(&format!(
            "SELECT 'quarantined' AS fate, error AS reason, count(*) AS rows \
             FROM {staged} GROUP BY error ORDER BY rows DESC, reason"
        ))
        .await?;
    tally(raw, counts).await
}

pub(crate) async fn account(ctx: &SessionContext, table: &str) -> Result<Account> {
    let counts = ctx
        .sql(&format!(
            "SELECT CASE WHEN quarantined IS NOT NULL THEN 'quarantined' ELSE 'filtered' END AS fate, \
                    coalesce(quarantined, filtered) AS reason, count(*) AS rows \
             FROM {table} GROUP BY 1, 2 ORDER BY rows DESC, reason"
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
    use datafusion::common::ScalarValue;
    let value = ScalarValue::try_from_array(batch.column(column), row)?;
    Ok(value.try_as_str().flatten().map(str::to_owned))
}

fn refuse_bad_rows(accounts: &[Account]) -> Result<()> {
    let bad: Vec<_> = accounts.iter().filter(|a| a.quarantined() > 0).collect();
    if bad.is_empty() {
        return Ok(());
    }
    let lines: Vec<_> = bad
        .iter()
        .flat_map(|account| account.dropped.iter().map(move |drop| (account, drop)))
        .filter(|(_, (fate, ..))| fate == "quarantined")
        .take(10)
        .map(|(account, (_, reason, rows))| format!("  {}: {rows} × {reason}", account.table))
        .collect();
    Err(Error::Failed(format!(
        "--strict: bad rows, nothing was written:\n{}\nMend the files, or leave --strict out \
         to put these rows into quarantine",
        lines.join("\n")
    )))
}

/// Writes the dataset's `quarantine`: malformed lines and rows that make no sense.
async fn write_quarantine(session: &Session, name: &str, accounts: &[Account]) -> Result<()> {
    let mut parts: Vec<String> = vec![];
    for account in accounts {
        parts.push(if account.table.starts_with("raw_") {
            let staged = staged_name(name, &account.table);
            format!("SELECT file, line, error AS reason, raw FROM {staged} WHERE error IS NOT NULL")
        } else {
            format!(
                "SELECT file, line, quarantined AS reason, NULL AS raw FROM {} \
                 WHERE quarantined IS NOT NULL",
                account.table
            )
        });
    }
    let query = format!(
        "SELECT '{name}' AS dataset, file, line, reason, raw FROM ({}) ORDER BY file, line, reason",
        parts.join(" UNION ALL ")
    );
    let stream = session.ctx.sql(&query).await?.execute_stream().await?;
    let table = TableReference::partial(name, "quarantine");
    session.lake.write(&session.ctx, &table, stream).await?;
    Ok(())
}

async fn write_table(session: &Session, name: &str, table: &str, order: &str) -> Result<()> {
    let step = Step::start(&format!("writing {name}.{table}"));
    let started = std::time::Instant::now();
    let kept = session
        .ctx
        .sql(&format!(
            "SELECT * EXCEPT (file, line, quarantined, filtered) FROM {table} \
             WHERE quarantined IS NULL AND filtered IS NULL ORDER BY {order}"
        ))
        .await?;
    let target = TableReference::partial(name, table);
    let stream = kept.execute_stream().await?;
    let rows = session.lake.write(&session.ctx, &target, stream).await?;
    let entry = ledger::Entry {
        step: format!("ingest {name}"),
        output: target.to_string(),
        rows,
        seconds: started.elapsed().as_secs_f64(),
        fingerprint: String::new(),
        output_version: session.lake.version(&target).await?,
        models: vec![],
    };
    ledger::record(session, &entry).await?;
    step.finish(rows);
    Ok(())
}
