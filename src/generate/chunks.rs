//! Tables that are made while they are read, chunk by chunk of users.
//!
//! The partitions of a scan take the chunks in turn, so that all of them work at the same
//! place of the table: merging them in order keeps little in memory and no core waits.

use std::fmt::{self, Debug, Formatter};
use std::ops::Range;
use std::sync::Arc;

use async_trait::async_trait;
use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::stats::Precision;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::common::{Result, Statistics};
use datafusion::datasource::source::{DataSource, DataSourceExec};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::logical_expr::{Expr, TableType};
use datafusion::physical_expr::expressions::Column;
use datafusion::physical_expr::projection::ProjectionExprs;
use datafusion::physical_expr::{
    EquivalenceProperties, Partitioning, PhysicalExpr, PhysicalSortExpr,
};
use datafusion::physical_plan::execution_plan::SchedulingType;
use datafusion::physical_plan::stream::RecordBatchReceiverStreamBuilder;
use datafusion::physical_plan::{DisplayFormatType, ExecutionPlan};

/// Users of one chunk: about a batch of events.
const CHUNK: usize = 256;

/// What is known of each user, or happened to each, as rows.
pub(super) trait UserRows: Debug + Send + Sync {
    /// All columns.
    fn schema(&self) -> SchemaRef;

    /// By which columns the rows come sorted, each order ascending.
    fn orders(&self) -> &'static [&'static [&'static str]];

    /// How many users and how many rows there are.
    fn counts(&self) -> (usize, Precision<usize>);

    /// The rows of the users at these positions, with the columns of `schema` alone.
    ///
    /// # Errors
    /// Fails when Arrow refuses the columns.
    fn batch(&self, users: Range<usize>, schema: &SchemaRef) -> Result<RecordBatch>;
}

/// The table of some rows.
#[derive(Debug)]
pub(super) struct ChunkedTable {
    rows: Arc<dyn UserRows>,
    chunk: usize,
}

impl ChunkedTable {
    pub(super) fn new(rows: Arc<dyn UserRows>) -> Self {
        Self::in_chunks(rows, CHUNK)
    }

    /// The table in chunks of so many users.
    pub(super) fn in_chunks(rows: Arc<dyn UserRows>, chunk: usize) -> Self {
        Self { rows, chunk }
    }
}

#[async_trait]
impl TableProvider for ChunkedTable {
    fn schema(&self) -> SchemaRef {
        self.rows.schema()
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    async fn scan(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        _filters: &[Expr],
        _limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let schema = self.rows.schema();
        let schema = match projection {
            Some(columns) => Arc::new(schema.project(columns)?),
            None => schema,
        };
        let chunks = self.rows.counts().0.div_ceil(self.chunk);
        Ok(DataSourceExec::from_data_source(Chunks {
            rows: Arc::clone(&self.rows),
            schema,
            chunk: self.chunk,
            partitions: state.config().target_partitions().min(chunks).max(1),
        }))
    }
}

/// Some columns of a table, in partitions.
#[derive(Debug)]
struct Chunks {
    rows: Arc<dyn UserRows>,
    schema: SchemaRef,
    chunk: usize,
    partitions: usize,
}

impl Chunks {
    /// The orders that the columns can tell of.
    fn orders(&self) -> Vec<Vec<PhysicalSortExpr>> {
        let known = |order: &&[&str]| -> Vec<PhysicalSortExpr> {
            let columns = order.iter().map_while(|name| {
                let index = self.schema.index_of(name).ok()?;
                Some(Arc::new(Column::new(name, index)) as _)
            });
            columns.map(PhysicalSortExpr::new_default).collect()
        };
        let orders = self.rows.orders().iter().map(known);
        orders.filter(|order| !order.is_empty()).collect()
    }
}

impl DataSource for Chunks {
    fn open(
        &self,
        partition: usize,
        _context: Arc<TaskContext>,
    ) -> Result<SendableRecordBatchStream> {
        let mut stream = RecordBatchReceiverStreamBuilder::new(Arc::clone(&self.schema), 1);
        let batches = stream.tx();
        let (rows, schema, chunk) = (Arc::clone(&self.rows), Arc::clone(&self.schema), self.chunk);
        let users = rows.counts().0;
        let starts = (partition * chunk..users).step_by(chunk * self.partitions);
        stream.spawn_blocking(move || {
            for start in starts {
                let batch = rows.batch(start..users.min(start + chunk), &schema)?;
                // A closed channel means that nobody wants more.
                if batches.blocking_send(Ok(batch)).is_err() {
                    break;
                }
            }
            Ok(())
        });
        Ok(stream.build())
    }

    fn fmt_as(&self, _: DisplayFormatType, f: &mut Formatter<'_>) -> fmt::Result {
        let columns: Vec<_> = self
            .schema
            .fields()
            .iter()
            .map(|field| field.name())
            .collect();
        write!(
            f,
            "partitions={}, users={}, columns={columns:?}, orders={:?}",
            self.partitions,
            self.rows.counts().0,
            self.rows.orders()
        )
    }

    fn output_partitioning(&self) -> Partitioning {
        Partitioning::UnknownPartitioning(self.partitions)
    }

    fn eq_properties(&self) -> EquivalenceProperties {
        EquivalenceProperties::new_with_orderings(Arc::clone(&self.schema), self.orders())
    }

    fn scheduling_type(&self) -> SchedulingType {
        SchedulingType::Cooperative
    }

    // The sizes let the planner build joins over the smaller table.
    fn partition_statistics(&self, partition: Option<usize>) -> Result<Arc<Statistics>> {
        let mut statistics = Statistics::new_unknown(&self.schema);
        if partition.is_none() {
            statistics.num_rows = self.rows.counts().1;
        }
        Ok(Arc::new(statistics))
    }

    fn with_fetch(&self, _limit: Option<usize>) -> Option<Arc<dyn DataSource>> {
        None
    }

    fn fetch(&self) -> Option<usize> {
        None
    }

    fn try_swapping_with_projection(
        &self,
        _projection: &ProjectionExprs,
    ) -> Result<Option<Arc<dyn DataSource>>> {
        Ok(None)
    }

    fn apply_expressions(
        &self,
        _f: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        Ok(TreeNodeRecursion::Continue)
    }
}
