//! Runs statements by DataFusion's shell, but for those that open models: it would take their
//! options for a file format's and refuse them.

use datafusion::sql::parser::{DFParser, Statement};
use datafusion::sql::sqlparser::dialect::{Dialect, GenericDialect, dialect_from_str};
use datafusion::sql::sqlparser::tokenizer::{Token, Tokenizer};
use datafusion_cli::exec::exec_from_commands;
use datafusion_cli::print_options::PrintOptions;

use crate::session::Session;

/// Runs the statements of `sql` one after the other and prints what they give.
///
/// # Errors
/// Fails with the first statement that does.
pub async fn execute(
    session: &Session,
    sql: String,
    print: &PrintOptions,
) -> datafusion::error::Result<()> {
    let dialect = session.ctx.copied_config().options().sql_parser.dialect;
    let dialect: Box<dyn Dialect> =
        dialect_from_str(dialect).unwrap_or_else(|| Box::new(GenericDialect {}));
    let statements = match opens_model(&sql, dialect.as_ref()) {
        true => split(&sql, dialect.as_ref()),
        false => vec![sql],
    };
    for statement in statements {
        if opens_model(&statement, dialect.as_ref()) {
            session.ctx.sql(&statement).await?;
        } else {
            exec_from_commands(&session.ctx, vec![statement], print).await?;
        }
    }
    Ok(())
}

/// Whether a statement of `sql` is `CREATE EXTERNAL TABLE … STORED AS MODEL`.
fn opens_model(sql: &str, dialect: &dyn Dialect) -> bool {
    let is_model = |statement: &Statement| match statement {
        Statement::CreateExternalTable(create) => create.file_type.eq_ignore_ascii_case("MODEL"),
        _ => false,
    };
    let parsed = DFParser::parse_sql_with_dialect(sql, dialect);
    parsed.is_ok_and(|statements| statements.iter().any(is_model))
}

/// The statements of `sql`, which parses, as they are written.
fn split(sql: &str, dialect: &dyn Dialect) -> Vec<String> {
    let tokens = Tokenizer::new(dialect, sql).with_unescape(false).tokenize();
    let tokens = tokens.unwrap_or_default();
    let statements = tokens.split(|token| *token == Token::SemiColon);
    statements
        .map(|statement| statement.iter().map(Token::to_string).collect())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statements_are_split_as_they_are_written() {
        let sql = "SELECT 'it''s; so', \"a\"\"b\", @seed -- one; two\n;\n\
                   CREATE EXTERNAL TABLE t STORED AS model LOCATION 'x' OPTIONS ('a' '1;2');";
        let dialect = GenericDialect {};
        let statements = split(sql, &dialect);
        assert_eq!(statements.join(";"), sql);
        assert_eq!(statements.len(), 3);
        let models: Vec<_> = statements
            .iter()
            .map(|statement| opens_model(statement, &dialect))
            .collect();
        assert_eq!(models, [false, true, false]);
    }
}
