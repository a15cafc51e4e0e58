//! The repository's demo models, for tests.

use std::path::PathBuf;

use super::tokens::Tokens;

/// The folder of the demo model `name`.
pub fn folder(name: &str) -> PathBuf {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("../models")
        .join(name);
    assert!(
        path.is_dir(),
        "no demo model at {path:?}: run `make models`"
    );
    path
}

/// The weak demo model's tokenizer.
pub fn tokens() -> Tokens {
    let file = folder("weak").join("tokenizer.json");
    Tokens::parse(&std::fs::read_to_string(file).unwrap()).unwrap()
}
