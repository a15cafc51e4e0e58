//! A world as tables, for the SQL that writes it as raw files.
//!
//! * `world_users(user BIGINT, gender TEXT, age INT, occupation INT, zip TEXT, taste DOUBLE[])`;
//!   `taste` has one number a genre, genres in alphabetical order.
//! * `world_items(item BIGINT, title TEXT, year INT, genres TEXT[], genre_weights DOUBLE[],
//!   quality DOUBLE)`; `genre_weights` is in the order of `taste`, so that a user's liking is
//!   the dot product of the two.
//! * `world_events(event BIGINT, user BIGINT, item BIGINT, ts BIGINT, rating INT, mood INT,
//!   page BIGINT[])`; `ts` in seconds since 1970, `mood` a decade such as 1950, `page` the 40
//!   items that were shown.
//! * `world_friends(user BIGINT, friend BIGINT)`; each friendship in both directions.

use std::ops::Range;
use std::sync::{Arc, OnceLock};

use datafusion::arrow::array::{
    ArrayRef, Float64Array, Float64Builder, Int32Array, Int64Array, Int64Builder, ListBuilder,
    RecordBatch, RecordBatchOptions, StringArray, StringBuilder,
};
use datafusion::arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::common::stats::Precision;
use datafusion::common::{Result, internal_err};
use datafusion::datasource::MemTable;
use datafusion::prelude::SessionContext;

use super::catalogue::GENRES;
use super::chunks::{ChunkedTable, UserRows};
use super::friends::Ring;
use super::life::Stage;
use super::world::{Event, Item, User, World, genre_names};

/// Makes the tables of `world`.
///
/// # Errors
/// Fails when the catalog refuses.
pub(super) fn register(ctx: &SessionContext, world: &World) -> Result<()> {
    // The rows come in order: a plan that loses the order would sort them all in memory.
    let state = ctx.state_ref();
    let mut state = state.write();
    let optimizer = &mut state.config_mut().options_mut().optimizer;
    optimizer.prefer_existing_sort = true;
    drop(state);

    let rows: [(&str, Arc<dyn UserRows>); 3] = [
        ("world_users", Arc::new(Users(world.clone()))),
        ("world_events", Arc::new(Events(world.clone()))),
        (
            "world_friends",
            Arc::new(Friends {
                world: world.clone(),
                ring: OnceLock::new(),
            }),
        ),
    ];
    for (name, rows) in rows {
        ctx.register_table(name, Arc::new(ChunkedTable::new(rows)))?;
    }
    let items = items(&world.items)?;
    let items = MemTable::try_new(items.schema(), vec![vec![items]])?;
    ctx.register_table("world_items", Arc::new(items))?;
    Ok(())
}

fn items(items: &[Item]) -> Result<RecordBatch> {
    let list = |item| DataType::new_list(item, true);
    let schema = schema([
        ("item", DataType::Int64),
        ("title", DataType::Utf8),
        ("year", DataType::Int32),
        ("genres", list(DataType::Utf8)),
        ("genre_weights", list(DataType::Float64)),
        ("quality", DataType::Float64),
    ]);
    batch(&schema, items.len(), |column| {
        Ok(match column {
            "item" => ids(0..items.len()),
            "title" => texts(items.iter().map(|item| item.title.as_str())),
            "year" => integers(items.iter().map(|item| item.year)),
            "genres" => words(items.iter().map(genre_names)),
            "genre_weights" => numbers(items.iter().map(weights_of_all_genres)),
            "quality" => {
                let qualities = items.iter().map(|item| item.quality);
                Arc::new(Float64Array::from_iter_values(qualities))
            }
            _ => return internal_err!("world_items has no {column}"),
        })
    })
}

#[derive(Debug)]
struct Users(World);

impl UserRows for Users {
    fn schema(&self) -> SchemaRef {
        schema([
            ("user", DataType::Int64),
            ("gender", DataType::Utf8),
            ("age", DataType::Int32),
            ("occupation", DataType::Int32),
            ("zip", DataType::Utf8),
            ("taste", DataType::new_list(DataType::Float64, true)),
        ])
    }

    fn orders(&self) -> &'static [&'static [&'static str]] {
        &[&["user"]]
    }

    fn counts(&self) -> (usize, Precision<usize>) {
        let users = self.0.user_count();
        (users, Precision::Exact(users))
    }

    fn batch(&self, users: Range<usize>, schema: &SchemaRef) -> Result<RecordBatch> {
        let profiles: Vec<User> = users.clone().map(|user| self.0.user(user)).collect();
        let all = || profiles.iter();
        batch(schema, users.len(), |column| {
            Ok(match column {
                "user" => ids(users.clone()),
                "gender" => texts(all().map(|user| user.gender)),
                "age" => integers(all().map(|user| user.age)),
                "occupation" => integers(all().map(|user| user.occupation)),
                "zip" => texts(all().map(|user| user.zip.as_str())),
                "taste" => numbers(all().map(|user| user.taste.clone())),
                _ => return internal_err!("world_users has no {column}"),
            })
        })
    }
}

#[derive(Debug)]
struct Events(World);

impl UserRows for Events {
    fn schema(&self) -> SchemaRef {
        schema([
            ("event", DataType::Int64),
            ("user", DataType::Int64),
            ("item", DataType::Int64),
            ("ts", DataType::Int64),
            ("rating", DataType::Int32),
            ("mood", DataType::Int32),
            ("page", DataType::new_list(DataType::Int64, true)),
        ])
    }

    fn orders(&self) -> &'static [&'static [&'static str]] {
        &[&["event"], &["user", "ts", "event"], &["user", "event"]]
    }

    fn counts(&self) -> (usize, Precision<usize>) {
        (self.0.user_count(), Precision::Exact(self.0.event_count()))
    }

    fn batch(&self, users: Range<usize>, schema: &SchemaRef) -> Result<RecordBatch> {
        let first = self.0.starts[users.start];
        let with_pages = schema.column_with_name("page").is_some();
        let (mut events, mut pages) = (vec![], ListBuilder::new(Int64Builder::new()));
        let mut stage = Stage::new(&self.0);
        for user in users {
            stage.live(user, &self.0.user(user), |event, page| {
                events.push(event);
                if with_pages {
                    pages.append_value(page.iter().map(|&item| Some(id(item))));
                }
            });
        }
        let all = || events.iter();
        batch(schema, events.len(), |column| {
            Ok(match column {
                "event" => ids(first..first + events.len()),
                "user" => ids(all().map(|event: &Event| event.user)),
                "item" => ids(all().map(|event| event.item)),
                "ts" => Arc::new(Int64Array::from_iter_values(all().map(|event| event.ts))),
                "rating" => integers(all().map(|event| event.rating)),
                "mood" => integers(all().map(|event| event.mood)),
                "page" => Arc::new(pages.finish()),
                _ => return internal_err!("world_events has no {column}"),
            })
        })
    }
}

#[derive(Debug)]
struct Friends {
    world: World,
    /// Made when somebody asks for friends.
    ring: OnceLock<Ring>,
}

impl UserRows for Friends {
    fn schema(&self) -> SchemaRef {
        schema([("user", DataType::Int64), ("friend", DataType::Int64)])
    }

    fn orders(&self) -> &'static [&'static [&'static str]] {
        &[&["user", "friend"]]
    }

    fn counts(&self) -> (usize, Precision<usize>) {
        let users = self.world.user_count();
        (users, Precision::Inexact(5 * users))
    }

    fn batch(&self, users: Range<usize>, schema: &SchemaRef) -> Result<RecordBatch> {
        let ring = self.ring.get_or_init(|| Ring::new(&self.world));
        let befriended = |user| {
            ring.friends(user)
                .into_iter()
                .map(move |friend| (user, friend))
        };
        let pairs: Vec<(usize, usize)> = users.flat_map(befriended).collect();
        batch(schema, pairs.len(), |column| {
            Ok(match column {
                "user" => ids(pairs.iter().map(|&(user, _)| user)),
                "friend" => ids(pairs.iter().map(|&(_, friend)| friend)),
                _ => return internal_err!("world_friends has no {column}"),
            })
        })
    }
}

/// Columns without nulls.
fn schema<const COLUMNS: usize>(columns: [(&str, DataType); COLUMNS]) -> SchemaRef {
    let fields = columns.map(|(name, kind)| Field::new(name, kind, false));
    Arc::new(Schema::new(fields.to_vec()))
}

/// `rows` rows of the columns that `schema` names.
fn batch(
    schema: &SchemaRef,
    rows: usize,
    mut column: impl FnMut(&str) -> Result<ArrayRef>,
) -> Result<RecordBatch> {
    let columns = schema.fields().iter().map(|field| column(field.name()));
    Ok(RecordBatch::try_new_with_options(
        Arc::clone(schema),
        columns.collect::<Result<_>>()?,
        // Needed when somebody only counts.
        &RecordBatchOptions::new().with_row_count(Some(rows)),
    )?)
}

/// Ids start at one.
fn id(position: usize) -> i64 {
    position as i64 + 1
}

fn ids(positions: impl Iterator<Item = usize>) -> ArrayRef {
    Arc::new(Int64Array::from_iter_values(positions.map(id)))
}

fn integers(values: impl Iterator<Item = i32>) -> ArrayRef {
    Arc::new(Int32Array::from_iter_values(values))
}

fn texts<'a>(values: impl Iterator<Item = &'a str>) -> ArrayRef {
    Arc::new(StringArray::from_iter_values(values))
}

fn weights_of_all_genres(item: &Item) -> Vec<f64> {
    let mut weights = vec![0.0; GENRES.len()];
    for &(genre, weight) in &item.genres {
        weights[genre] = weight;
    }
    weights
}

fn numbers(rows: impl Iterator<Item = Vec<f64>>) -> ArrayRef {
    let mut lists = ListBuilder::new(Float64Builder::new());
    for row in rows {
        lists.append_value(row.into_iter().map(Some));
    }
    Arc::new(lists.finish())
}

fn words(rows: impl Iterator<Item = Vec<&'static str>>) -> ArrayRef {
    let mut lists = ListBuilder::new(StringBuilder::new());
    for row in rows {
        lists.append_value(row.into_iter().map(Some));
    }
    Arc::new(lists.finish())
}

#[cfg(test)]
mod tests {
    use datafusion::arrow::array::AsArray;
    use datafusion::arrow::compute::concat_batches;
    use datafusion::arrow::datatypes::Int64Type;
    use datafusion::physical_plan::displayable;
    use datafusion::prelude::SessionConfig;

    use super::*;

    /// The tables of a world, read by so many partitions.
    fn tables(world: &World, partitions: usize) -> SessionContext {
        let config = SessionConfig::new().with_target_partitions(partitions);
        let ctx = SessionContext::new_with_config(config);
        register(&ctx, world).unwrap();
        ctx
    }

    async fn rows(ctx: &SessionContext, query: &str) -> RecordBatch {
        let frame = ctx.sql(query).await.unwrap();
        let schema = Arc::clone(frame.schema().inner());
        concat_batches(&schema, &frame.collect().await.unwrap()).unwrap()
    }

    fn longs<'a>(rows: &'a RecordBatch, column: &str) -> &'a [i64] {
        let column = rows.column_by_name(column).unwrap();
        column.as_primitive::<Int64Type>().values()
    }

    async fn plan(ctx: &SessionContext, query: &str) -> String {
        let frame = ctx.sql(query).await.unwrap();
        let plan = frame.create_physical_plan().await.unwrap();
        displayable(plan.as_ref()).indent(false).to_string()
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn streamed_events_are_those_of_the_lives_however_they_are_cut() {
        let world = World::new(600, 7);
        let (mut stage, mut simulated) = (Stage::new(&world), vec![]);
        for user in 0..600 {
            stage.live(user, &world.user(user), |event, _| simulated.push(event));
        }
        for (partitions, chunk) in [(1, 600), (2, 256), (3, 7), (4, 599)] {
            let config = SessionConfig::new().with_target_partitions(partitions);
            let ctx = SessionContext::new_with_config(config);
            let table = ChunkedTable::in_chunks(Arc::new(Events(world.clone())), chunk);
            ctx.register_table("world_events", Arc::new(table)).unwrap();
            let rows = rows(&ctx, "SELECT * FROM world_events ORDER BY user, ts, event").await;
            let ids: Vec<i64> = (1..=simulated.len() as i64).collect();
            assert_eq!(longs(&rows, "event"), ids);
            for (column, of) in [
                ("user", &(|e: &Event| id(e.user)) as &dyn Fn(&Event) -> i64),
                ("item", &|e| id(e.item)),
                ("ts", &|e| e.ts),
            ] {
                let expected: Vec<i64> = simulated.iter().map(of).collect();
                assert_eq!(longs(&rows, column), expected, "{partitions} {chunk}");
            }
        }
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn all_tables_are_the_same_however_many_partitions_read_them() {
        let world = World::new(700, 7);
        for query in [
            "SELECT * FROM world_users ORDER BY user",
            "SELECT * FROM world_events ORDER BY event",
            "SELECT * FROM world_friends ORDER BY user, friend",
        ] {
            let alone = rows(&tables(&world, 1), query).await;
            assert_eq!(alone, rows(&tables(&world, 3), query).await);
        }
    }

    #[tokio::test]
    async fn rows_come_in_order_and_are_never_sorted() {
        // As many users as make the planner think of joins on several cores.
        let ctx = tables(&World::new(150_000, 7), 2);
        for query in [
            "SELECT item FROM world_events ORDER BY user, ts, event",
            "SELECT item FROM world_events ORDER BY event",
            "SELECT item FROM world_events WHERE rating > 3 ORDER BY user, event",
            "SELECT zip FROM world_users ORDER BY user",
            "SELECT friend FROM world_friends ORDER BY user, friend",
            "SELECT title FROM world_events JOIN world_items USING (item) ORDER BY event",
            "SELECT zip FROM world_events JOIN world_users USING (user) ORDER BY event",
            "SELECT lag(item) OVER (PARTITION BY user ORDER BY ts) FROM world_events
                ORDER BY user, ts, event",
            "SELECT user, count(*) FROM world_events GROUP BY user ORDER BY user",
            "SELECT user, array_agg(friend) FROM world_friends GROUP BY user ORDER BY user",
        ] {
            let plan = plan(&ctx, query).await;
            assert!(!plan.contains("SortExec"), "{query}\n{plan}");
        }
    }

    #[tokio::test]
    async fn ids_start_at_one_and_point_into_the_other_tables() {
        let ctx = tables(&World::new(300, 5), 2);
        for (query, expected) in [
            (
                "SELECT count(*) FROM world_items WHERE item BETWEEN 1 AND 500",
                500,
            ),
            (
                "SELECT count(*) FROM world_users WHERE user BETWEEN 1 AND 300",
                300,
            ),
            ("SELECT min(event) FROM world_events", 1),
            ("SELECT max(event) - count(*) FROM world_events", 0),
            (
                "SELECT count(*) FROM world_events WHERE item NOT IN (SELECT item FROM world_items)",
                0,
            ),
            (
                "SELECT count(DISTINCT user) FROM world_events
                    WHERE user IN (SELECT user FROM world_users)",
                300,
            ),
            (
                "SELECT count(*) FROM (SELECT user, friend FROM world_friends
                    EXCEPT SELECT friend, user FROM world_friends)",
                0,
            ),
        ] {
            let rows = rows(&ctx, query).await;
            let found = rows.column(0).as_primitive::<Int64Type>().value(0);
            assert_eq!(found, expected, "{query}");
        }
    }

    #[tokio::test]
    async fn a_page_holds_the_item_chosen_from_it() {
        let ctx = tables(&World::new(50, 7), 2);
        let query = "SELECT count(*) AS events,
                count(*) FILTER (WHERE array_has(page, item) AND cardinality(array_distinct(page)) = 40) AS good
            FROM world_events";
        let counts = rows(&ctx, query).await;
        assert_eq!(longs(&counts, "events"), longs(&counts, "good"));
    }

    #[test]
    fn only_the_columns_that_are_asked_for_are_made() {
        let events = Events(World::new(3, 7));
        let narrow = Arc::new(events.schema().project(&[1]).unwrap());
        let batch = events.batch(0..3, &narrow).unwrap();
        assert_eq!(
            (batch.num_columns(), batch.num_rows()),
            (1, events.0.event_count())
        );
    }
}
