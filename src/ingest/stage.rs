//! Staging: what a dataset's SQL yields is computed once, onto disk, and read from there.

use datafusion::common::{DFSchema, TableReference};
use datafusion::prelude::SessionContext;

use super::account::{self, Account};
use super::{enter_schema, texts};
use crate::datasets::Dataset;
use crate::error::{Error, Result};
use crate::progress::Step;
use crate::session::Session;

/// A column and its SQL type.
type Column = (&'static str, &'static str);

/// The columns by which every table is accounted for, null where a dataset leaves them out.
const COMMON: [Column; 4] = [
    ("file", "TEXT"),
    ("line", "BIGINT"),
    ("quarantined", "TEXT"),
    ("filtered", "TEXT"),
];

/// One of the normalised tables.
pub struct Table {
    /// Its name, and that of the SQL file and of the view which make it.
    pub name: &'static str,
    /// The order of its rows.
    pub order: &'static str,
    /// The column that no two kept rows may share, where that is not plain from the log.
    unique: Option<&'static str>,
    /// Columns that the dataset must give.
    required: &'static [Column],
    /// Columns that are null where the dataset does not know them.
    optional: &'static [Column],
}

/// The normalised tables, in the order they are made.
pub const TABLES: [Table; 3] = [
    Table {
        name: "users",
        order: "user_id",
        unique: Some("user_id"),
        required: &[("user_id", "TEXT")],
        optional: &[("friends", "TEXT[]")],
    },
    Table {
        name: "items",
        order: "item_id",
        unique: Some("item_id"),
        required: &[("item_id", "TEXT")],
        optional: &[("available_at", "TIMESTAMP(6)"), ("text", "TEXT")],
    },
    Table {
        name: "interactions",
        order: "user_id, ts, row",
        unique: None,
        required: &[
            ("user_id", "TEXT"),
            ("item_id", "TEXT"),
            ("ts", "TIMESTAMP(6)"),
            ("row", "BIGINT"),
        ],
        optional: &[("impressions", "TEXT[]")],
    },
];

/// Makes the dataset's schema the one in which its SQL works, and empties it: tables of an
/// earlier ingest stay in the lake and out of the way of the views to come.
pub fn enter(session: &Session, dataset: &Dataset) -> Result<()> {
    let key = dataset.key();
    enter_schema(session, &key)?;
    session.lake.blank_schema(&session.ctx, &key)
}

impl Table {
    /// The columns to select from the dataset's view: those that have a meaning to the
    /// method, in the types in which datasets can be put together, then the dataset's own.
    fn columns(&self, view: &DFSchema, path: &str) -> Result<String> {
        let has = |column: &str| view.has_column_with_unqualified_name(column);
        if let Some((missing, _)) = self.required.iter().find(|(column, _)| !has(column)) {
            return Err(Error::Failed(format!(
                "{path}: its view {} lacks the column {missing}; see docs/datasets.md",
                self.name
            )));
        }
        let known = || self.required.iter().chain(self.optional).chain(&COMMON);
        let typed = known().map(|(column, kind)| {
            let value = if has(column) { column } else { "NULL" };
            format!("CAST({value} AS {kind}) AS {column}")
        });
        let own = view.fields().iter().map(|field| field.name());
        let own = own.filter(|name| !known().any(|(column, _)| column == name));
        let own = own.map(|name| format!("\"{}\"", name.replace('"', "\"\"")));
        Ok(typed.chain(own).collect::<Vec<_>>().join(", "))
    }
}

/// Parses each raw file once, and leaves a view of its good lines under the raw table's
/// name for the dataset's SQL to read.
pub async fn raw(session: &Session, dataset: &Dataset) -> Result<Vec<Account>> {
    let ctx = &session.ctx;
    let script = session.scripts.file(&dataset.script("raw.sql"))?;
    script.run(ctx).await?;
    let mut accounts = vec![];
    let tables = relations(ctx, &dataset.key());
    for raw in tables.iter().filter(|name| name.starts_with("raw_")) {
        let step = Step::start(&format!("reading {raw}"));
        let staged = staged_name(dataset, raw);
        let stream = ctx.table(raw.as_str()).await?.execute_stream().await?;
        let rows = session.lake.write(ctx, &staged, stream).await?;
        ctx.sql(&format!(
            "CREATE OR REPLACE VIEW {raw} AS \
             SELECT * EXCEPT (error, raw) FROM {staged} WHERE error IS NULL"
        ))
        .await?;
        accounts.push(account::of_lines(ctx, raw, &staged).await?);
        step.finish(rows);
    }
    Ok(accounts)
}

/// Runs the dataset's SQL file of `table` and stages every row of its view.
pub async fn rows(session: &Session, dataset: &Dataset, table: &Table) -> Result<Account> {
    let ctx = &session.ctx;
    let Table { name, .. } = table;
    let step = Step::start(&format!("making {name}"));
    let path = dataset.script(&format!("{name}.sql"));
    session.scripts.file(&path)?.run(ctx).await?;
    let view = ctx
        .table(*name)
        .await
        .map_err(|e| Error::Query(e.context(format!("{path} must create the view {name}"))))?;
    let columns = table.columns(view.schema(), &path)?;
    let staged = staged_name(dataset, name);
    let stream = ctx
        .sql(&format!("SELECT {columns} FROM {name}"))
        .await?
        .execute_stream()
        .await?;
    let rows = session.lake.write(ctx, &staged, stream).await?;
    ctx.sql(&format!(
        "CREATE OR REPLACE VIEW {name} AS SELECT * FROM {staged}"
    ))
    .await?;
    if let Some(key) = table.unique {
        require_unique(ctx, name, key, &path).await?;
    }
    step.finish(rows);
    account::of_rows(ctx, name, &staged).await
}

/// Removes what was staged.
pub async fn clear(session: &Session, dataset: &Dataset, accounts: &[Account]) -> Result<()> {
    let made = accounts.iter().map(|account| account.table.as_str());
    for table in made {
        let staged = staged_name(dataset, table);
        session.lake.remove(&session.ctx, &staged).await?;
    }
    Ok(())
}

/// The table that holds every row of `table`, good and bad.
pub fn staged_name(dataset: &Dataset, table: &str) -> TableReference {
    TableReference::partial(dataset.key(), format!("staged_{table}"))
}

/// A key that stands twice would multiply rows in every join: the dataset's SQL has to
/// decide which one is kept.
async fn require_unique(ctx: &SessionContext, table: &str, key: &str, path: &str) -> Result<()> {
    let twice = ctx
        .sql(&format!(
            "SELECT {key} FROM {table} WHERE quarantined IS NULL AND filtered IS NULL \
             GROUP BY {key} HAVING count(*) > 1 ORDER BY {key} LIMIT 1"
        ))
        .await?;
    match texts(twice).await?.first() {
        None => Ok(()),
        Some(value) => Err(Error::Failed(format!(
            "{path}: {key} '{}' stands twice among the kept {table}. Give all but one of such \
             rows a reason in the column quarantined",
            value.as_deref().unwrap_or("NULL")
        ))),
    }
}

/// The tables and views of `schema`, by name.
fn relations(ctx: &SessionContext, schema: &str) -> Vec<String> {
    let options = ctx.state().config().options().catalog.clone();
    let schema = ctx
        .catalog(&options.default_catalog)
        .and_then(|catalog| catalog.schema(schema));
    let mut names = schema.map_or_else(Vec::new, |schema| schema.table_names());
    names.sort();
    names
}
