//! Functions that turn values into the words a prompt shows.

mod first_words;
mod latin1;
mod one_line;
mod time_ago;
mod tokens;

use std::sync::Arc;

use datafusion::logical_expr::ScalarUDF;

/// The functions of this module.
pub fn functions() -> Vec<Arc<ScalarUDF>> {
    [
        ScalarUDF::from(first_words::FirstWords::new()),
        ScalarUDF::from(latin1::Latin1::new()),
        ScalarUDF::from(one_line::OneLine::new()),
        ScalarUDF::from(time_ago::TimeAgo::new()),
        ScalarUDF::from(tokens::Tokens::new()),
    ]
    .map(Arc::new)
    .into()
}
