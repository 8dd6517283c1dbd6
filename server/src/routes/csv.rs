//! Comma-separated values (RFC 4180), written so that a spreadsheet takes a text for a text.

use axum::{
    body::{Body, Bytes},
    http::header::{CONTENT_DISPOSITION, CONTENT_TYPE},
    response::{IntoResponse, Response},
};
use futures_util::Stream;
use std::convert::Infallible;

/// One line. A text that starts as a formula does gets an apostrophe in front: emails and names of browsers come from
/// strangers, and spreadsheets run what starts with an equals sign.
pub(crate) fn line<'a>(fields: impl IntoIterator<Item = &'a str>) -> String {
    let mut line = String::new();
    for (place, field) in fields.into_iter().enumerate() {
        if place > 0 {
            line.push(',');
        }
        let runs = field.starts_with(['=', '+', '-', '@', '\t', '\r']);
        if runs || field.contains(['"', ',', '\n', '\r']) {
            line.push('"');
            if runs {
                line.push('\'');
            }
            line.push_str(&field.replace('"', "\"\""));
            line.push('"');
        } else {
            line.push_str(field);
        }
    }
    line.push_str("\r\n");
    line
}

/// The file, as it is being written.
pub(crate) fn file(name: &str, lines: impl Stream<Item = String> + Send + 'static) -> Response {
    use futures_util::StreamExt;
    // Fused: compression asks once more after the end.
    let body = Body::from_stream(lines.map(|line| Ok::<_, Infallible>(Bytes::from(line))).fuse());
    let disposition = format!("attachment; filename=\"{name}\"");
    ([(CONTENT_TYPE, "text/csv; charset=utf-8".to_owned()), (CONTENT_DISPOSITION, disposition)], body).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_more_than_a_word_is_quoted_and_a_formula_is_a_text() {
        assert_eq!(line(["a", "", "b c"]), "a,,b c\r\n");
        assert_eq!(line(["a,b", "say \"x\"", "two\nlines"]), "\"a,b\",\"say \"\"x\"\"\",\"two\nlines\"\r\n");
        for formula in ["=1+1", "+1", "-1", "@SUM(A1)", "=HYPERLINK(\"http://evil\")"] {
            let written = line([formula]);
            assert!(written.starts_with("\"'"), "{written}");
        }
    }
}
