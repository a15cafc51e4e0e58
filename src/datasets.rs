//! What a user calls a dataset: a folder of SQL files, and which variant of the data.

use std::fmt;
use std::str::FromStr;

use crate::error::{Error, Result};

/// A dataset by name: `movielens`, or `amazon/All_Beauty` where one folder of SQL reads
/// raw files that come in variants.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dataset {
    folder: String,
    variant: Option<String>,
}

impl Dataset {
    /// The folder of its SQL files, below `datasets/`.
    pub fn folder(&self) -> &str {
        &self.folder
    }

    /// What `{variant}` stands for in the names of its raw files.
    pub fn variant(&self) -> Option<&str> {
        self.variant.as_deref()
    }

    /// The schema of its tables, and the value of the column `dataset`: `amazon_all_beauty`.
    pub fn key(&self) -> String {
        let name = self.to_string().to_ascii_lowercase();
        name.replace(|c: char| !c.is_ascii_alphanumeric(), "_")
    }

    /// The path of one of its SQL files.
    pub fn script(&self, file: &str) -> String {
        format!("datasets/{}/{file}", self.folder)
    }
}

impl FromStr for Dataset {
    type Err = Error;

    /// # Errors
    /// Fails unless both parts are made of letters, digits, `_` and `-`.
    fn from_str(name: &str) -> Result<Self> {
        let (folder, variant) = match name.split_once('/') {
            Some((folder, variant)) => (folder, Some(variant)),
            None => (name, None),
        };
        let plain = |part: &str| {
            !part.is_empty()
                && part
                    .chars()
                    .all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-')
        };
        if !plain(folder) || !variant.is_none_or(plain) {
            return Err(Error::Usage(format!(
                "'{name}' is no dataset's name; write NAME, or NAME/VARIANT for a part of it"
            )));
        }
        Ok(Self {
            folder: folder.to_owned(),
            variant: variant.map(str::to_owned),
        })
    }
}

impl fmt::Display for Dataset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.variant {
            Some(variant) => write!(f, "{}/{variant}", self.folder),
            None => f.write_str(&self.folder),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_variant_is_part_of_the_key_and_not_of_the_folder() {
        let dataset: Dataset = "shop/All_Beauty".parse().unwrap();
        assert_eq!(dataset.folder(), "shop");
        assert_eq!(dataset.variant(), Some("All_Beauty"));
        assert_eq!(dataset.key(), "shop_all_beauty");
        assert_eq!(dataset.to_string(), "shop/All_Beauty");
        let whole: Dataset = "shop".parse().unwrap();
        assert_eq!((whole.variant(), whole.key()), (None, "shop".to_owned()));
    }

    #[test]
    fn names_that_could_leave_the_folder_are_refused() {
        for name in [
            "",
            "..",
            "shop/",
            "/shop",
            "shop/../x",
            "a b",
            "shop/a/b",
            "x'y",
        ] {
            assert!(name.parse::<Dataset>().is_err(), "{name}");
        }
    }
}
