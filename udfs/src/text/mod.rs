//! Functions that read texts from outside and turn values into the words a prompt shows.

mod first_words;
mod json_kind;
mod latin1;
mod one_line;
mod parse_time;
mod python_to_json;
mod short_count;
mod time_ago;
mod tokens;
mod unescape_html;

use std::sync::Arc;

use datafusion::logical_expr::ScalarUDF;

/// The functions of this module.
pub fn functions() -> Vec<Arc<ScalarUDF>> {
    [
        ScalarUDF::from(first_words::FirstWords::new()),
        ScalarUDF::from(json_kind::JsonKind::new()),
        ScalarUDF::from(latin1::Latin1::new()),
        ScalarUDF::from(one_line::OneLine::new()),
        ScalarUDF::from(parse_time::ParseTime::new()),
        ScalarUDF::from(python_to_json::PythonToJson::new()),
        ScalarUDF::from(short_count::ShortCount::new()),
        ScalarUDF::from(time_ago::TimeAgo::new()),
        ScalarUDF::from(tokens::Tokens::new()),
        ScalarUDF::from(unescape_html::UnescapeHtml::new()),
    ]
    .map(Arc::new)
    .into()
}
