//! The table function `explain_row('<scenario_id>')`: one scenario from its raw line to its
//! preference pair, by the queries of `sql/lineage`.

use std::sync::Arc;

use async_trait::async_trait;
use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::catalog::{
    MemTable, Session as QuerySession, TableFunctionArgs, TableFunctionImpl, TableProvider,
};
use datafusion::common::{
    DataFusionError, Result, ScalarValue, TableReference, exec_datafusion_err, plan_err,
};
use datafusion::execution::SessionState;
use datafusion::logical_expr::{Expr, TableType};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::prelude::{SessionContext, col, lit};

use crate::lake::Lake;
use crate::run::units::texts;
use crate::scripts::Scripts;

const FOLDER: &str = "sql/lineage";

/// `explain_row(scenario_id)`.
#[derive(Debug)]
pub struct ExplainRow {
    /// Where tables are.
    pub lake: Lake,
    /// Where the queries are.
    pub scripts: Scripts,
}

impl TableFunctionImpl for ExplainRow {
    fn call_with_args(&self, args: TableFunctionArgs<'_, '_>) -> Result<Arc<dyn TableProvider>> {
        let [Expr::Literal(id, _)] = args.exprs() else {
            return plan_err!("explain_row takes one scenario_id: explain_row('0123456789abcdef')");
        };
        let Some(Some(scenario_id)) = id.try_as_str() else {
            return plan_err!("explain_row takes a text, not {id}");
        };
        Ok(Arc::new(Explained {
            lake: self.lake.clone(),
            scripts: self.scripts.clone(),
            scenario_id: scenario_id.to_owned(),
        }))
    }
}

/// What is known of one scenario, read when it is asked for.
#[derive(Debug)]
struct Explained {
    lake: Lake,
    scripts: Scripts,
    scenario_id: String,
}

impl Explained {
    async fn read(&self, ctx: &SessionContext) -> crate::error::Result<Vec<RecordBatch>> {
        let dataset = self.enter_dataset(ctx).await?;
        let id = ScalarValue::from(self.scenario_id.as_str());
        let mut found = vec![];
        for script in self.scripts.folder(FOLDER)? {
            if !self.has_inputs(&script.list("inputs"), &dataset).await? {
                continue;
            }
            let rows = ctx.sql(&script.text).await?;
            let rows = rows.with_param_values(vec![("scenario_id", id.clone())])?;
            for batch in rows.collect().await? {
                found.push(typed(&batch)?);
            }
        }
        Ok(found)
    }

    /// Makes the scenario's dataset the schema of unqualified tables, and returns it.
    async fn enter_dataset(&self, ctx: &SessionContext) -> crate::error::Result<String> {
        let rows = ctx
            .table("public.scenarios")
            .await?
            .filter(col("scenario_id").eq(lit(self.scenario_id.as_str())))?
            .select(vec![col("dataset")])?;
        let found = texts(rows).await?;
        let dataset = found.into_iter().flatten().next();
        let dataset = dataset.ok_or_else(|| {
            exec_datafusion_err!("there is no scenario '{}' in scenarios", self.scenario_id)
        })?;
        let state = ctx.state_ref();
        let mut state = state.write();
        state
            .config_mut()
            .options_mut()
            .catalog
            .default_schema
            .clone_from(&dataset);
        drop(state);
        self.lake.create_schema(ctx, &dataset)?;
        Ok(dataset)
    }

    async fn has_inputs(&self, inputs: &[&str], dataset: &str) -> crate::error::Result<bool> {
        for input in inputs {
            let table = match input.contains('.') {
                true => TableReference::from(*input),
                false => TableReference::partial(dataset, *input),
            };
            if !self.lake.contains(&table).await? {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

#[async_trait]
impl TableProvider for Explained {
    fn schema(&self) -> SchemaRef {
        schema()
    }

    fn table_type(&self) -> TableType {
        TableType::Temporary
    }

    async fn scan(
        &self,
        session: &dyn QuerySession,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let state = session.as_any().downcast_ref::<SessionState>();
        let state = state.ok_or_else(|| exec_datafusion_err!("explain_row needs a session"))?;
        let ctx = SessionContext::new_with_state(state.clone());
        let rows = self.read(&ctx).await;
        let rows = rows.map_err(|e| DataFusionError::External(Box::new(e)))?;
        let table = MemTable::try_new(schema(), vec![rows])?;
        table.scan(session, projection, filters, limit).await
    }
}

fn schema() -> SchemaRef {
    let field = |name: &str, kind: DataType| Field::new(name, kind, true);
    Arc::new(Schema::new(vec![
        field("stage", DataType::Utf8),
        field("source", DataType::Utf8),
        field("draw", DataType::Int64),
        field("name", DataType::Utf8),
        field("value", DataType::Utf8),
    ]))
}

/// The rows of a query in the function's types.
fn typed(batch: &RecordBatch) -> Result<RecordBatch> {
    let schema = schema();
    let columns = batch.columns().iter().zip(schema.fields());
    let columns = columns.map(|(column, field)| cast(column, field.data_type()));
    Ok(RecordBatch::try_new(
        Arc::clone(&schema),
        columns.collect::<Result<_, _>>()?,
    )?)
}
