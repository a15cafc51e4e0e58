//! A world as Arrow record batches, for the SQL that writes it as raw files.

use std::sync::Arc;

use datafusion::arrow::array::{
    ArrayRef, Float64Array, Float64Builder, Int32Array, Int64Array, ListBuilder, RecordBatch,
    StringArray, StringBuilder,
};
use datafusion::arrow::error::ArrowError;

use super::catalogue::GENRES;
use super::world::{Item, World, genre_names};

impl World {
    /// Table `world_users(user BIGINT, gender TEXT, age INT, occupation INT, zip TEXT,
    /// taste DOUBLE[])`; `taste` has one number a genre, genres in alphabetical order.
    ///
    /// # Errors
    /// None in practice: the columns are as long as each other.
    pub fn world_users(&self) -> Result<RecordBatch, ArrowError> {
        let users = || self.users.iter();
        RecordBatch::try_from_iter([
            ("user", ids(self.users.len())),
            (
                "gender",
                Arc::new(StringArray::from_iter_values(users().map(|u| u.gender))) as ArrayRef,
            ),
            (
                "age",
                Arc::new(Int32Array::from_iter_values(users().map(|u| u.age))),
            ),
            (
                "occupation",
                Arc::new(Int32Array::from_iter_values(users().map(|u| u.occupation))),
            ),
            (
                "zip",
                Arc::new(StringArray::from_iter_values(users().map(|u| &u.zip))),
            ),
            ("taste", numbers(users().map(|u| u.taste.clone()))),
        ])
    }

    /// Table `world_items(item BIGINT, title TEXT, year INT, genres TEXT[],
    /// genre_weights DOUBLE[], quality DOUBLE)`; `genre_weights` is in the order of `taste`, so
    /// that a user's liking is the dot product of the two.
    ///
    /// # Errors
    /// None in practice: the columns are as long as each other.
    pub fn world_items(&self) -> Result<RecordBatch, ArrowError> {
        let items = || self.items.iter();
        RecordBatch::try_from_iter([
            ("item", ids(self.items.len())),
            (
                "title",
                Arc::new(StringArray::from_iter_values(items().map(|i| &i.title))) as ArrayRef,
            ),
            (
                "year",
                Arc::new(Int32Array::from_iter_values(items().map(|i| i.year))),
            ),
            ("genres", words(items().map(genre_names))),
            ("genre_weights", numbers(items().map(weights_of_all_genres))),
            (
                "quality",
                Arc::new(Float64Array::from_iter_values(items().map(|i| i.quality))),
            ),
        ])
    }

    /// Table `world_events(event BIGINT, user BIGINT, item BIGINT, ts BIGINT, rating INT,
    /// mood INT)`; `ts` in seconds since 1970, `mood` a decade such as 1950.
    ///
    /// # Errors
    /// None in practice: the columns are as long as each other.
    pub fn world_events(&self) -> Result<RecordBatch, ArrowError> {
        let events = || self.events.iter();
        let positions = |values: Vec<usize>| -> ArrayRef {
            Arc::new(Int64Array::from_iter_values(
                values.into_iter().map(|p| p as i64 + 1),
            ))
        };
        RecordBatch::try_from_iter([
            ("event", ids(self.events.len())),
            ("user", positions(events().map(|e| e.user).collect())),
            ("item", positions(events().map(|e| e.item).collect())),
            (
                "ts",
                Arc::new(Int64Array::from_iter_values(events().map(|e| e.ts))) as ArrayRef,
            ),
            (
                "rating",
                Arc::new(Int32Array::from_iter_values(events().map(|e| e.rating))),
            ),
            (
                "mood",
                Arc::new(Int32Array::from_iter_values(events().map(|e| e.mood))),
            ),
        ])
    }
}

/// The ids 1 to `count`.
fn ids(count: usize) -> ArrayRef {
    Arc::new(Int64Array::from_iter_values(1..=count as i64))
}

fn weights_of_all_genres(item: &Item) -> Vec<f64> {
    let mut weights = vec![0.0; GENRES.len()];
    for (&genre, &weight) in item.genres.iter().zip(&item.genre_weights) {
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
    use super::*;

    #[test]
    fn ids_start_at_one_and_events_point_into_the_other_tables() {
        let world = World::simulate(20, 5);
        let (users, items, events) = (
            world.world_users().unwrap(),
            world.world_items().unwrap(),
            world.world_events().unwrap(),
        );
        assert_eq!((users.num_rows(), items.num_rows()), (20, 500));
        assert_eq!(events.num_rows(), world.events.len());
        for (table, column) in [(&users, "user"), (&items, "item"), (&events, "event")] {
            let ids = table.column_by_name(column).unwrap();
            let ids = ids.as_any().downcast_ref::<Int64Array>().unwrap();
            assert_eq!(
                (ids.value(0), ids.value(ids.len() - 1)),
                (1, ids.len() as i64)
            );
        }
        let chosen = events.column_by_name("item").unwrap();
        let chosen = chosen.as_any().downcast_ref::<Int64Array>().unwrap();
        assert!(chosen.values().iter().all(|id| (1..=500).contains(id)));
    }
}
