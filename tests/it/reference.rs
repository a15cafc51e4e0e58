//! `docs/functions.md` is generated from the functions' own documentation.
//!
//! `UPDATE_DOCS=1 cargo test --test it reference` writes it anew.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::Path;

use datafusion::execution::FunctionRegistry;
use datafusion::logical_expr::Documentation;
use datafusion::prelude::SessionContext;

use crate::support::session;

#[tokio::test]
async fn the_function_reference_is_current() {
    let lake = tempfile::tempdir().unwrap();
    let session = session(lake.path()).await;
    let state = session.ctx.state();
    let mut libraries = SessionContext::new();
    datafusion_functions_json::register_all(&mut libraries).unwrap();
    let libraries = libraries.state();

    let mut ours: BTreeMap<String, Option<Documentation>> = BTreeMap::new();
    for name in state.udfs() {
        let function = state.udf(&name).unwrap();
        if libraries.udf(function.name()).is_err() {
            ours.insert(
                function.name().to_owned(),
                function.documentation().cloned(),
            );
        }
    }
    for name in state.udafs() {
        let function = state.udaf(&name).unwrap();
        if libraries.udaf(function.name()).is_err() {
            ours.insert(
                function.name().to_owned(),
                function.documentation().cloned(),
            );
        }
    }

    let mut page = String::from(
        "# SQL functions\n\nGenerated from the functions' documentation; beside these, DataFusion's \
         own and the JSON functions (`json_get_str` and its sisters) of\n\
         [datafusion-functions-json](https://github.com/datafusion-contrib/datafusion-functions-json).\n",
    );
    for (name, documentation) in ours {
        let documentation = documentation.unwrap_or_else(|| panic!("{name} is undocumented"));
        write_entry(&mut page, &name, &documentation);
    }

    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/functions.md");
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(&file, &page).unwrap();
    }
    let committed = std::fs::read_to_string(&file).unwrap_or_default();
    assert!(
        committed == page,
        "docs/functions.md is stale; run with UPDATE_DOCS=1"
    );
}

fn write_entry(page: &mut String, name: &str, documentation: &Documentation) {
    writeln!(
        page,
        "\n## {name}\n\n{}\n",
        documentation.description.trim()
    )
    .unwrap();
    writeln!(page, "```sql\n{}\n```", documentation.syntax_example.trim()).unwrap();
    for (argument, meaning) in documentation.arguments.iter().flatten() {
        writeln!(page, "- `{argument}`: {}", meaning.trim()).unwrap();
    }
    if let Some(example) = &documentation.sql_example {
        writeln!(page, "\n{}", example.trim()).unwrap();
    }
}
