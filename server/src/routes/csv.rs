//! Comma-separated values (RFC 4180), written so that a spreadsheet takes a text for a text.

use axum::{
    body::{Body, Bytes},
    http::header::{CONTENT_DISPOSITION, CONTENT_TYPE},
    response::{IntoResponse, Response},
};
use futures_util::Stream;
use std::convert::Infallible;

/// One line. Emails, names of browsers and reasons come from strangers, and spreadsheets run what looks like a formula: each
/// sign that would begin one gets an apostrophe in front.
pub(crate) fn line<'a>(fields: impl IntoIterator<Item = &'a str>) -> String {
    let mut line = String::new();
    for (place, field) in fields.into_iter().enumerate() {
        if place > 0 {
            line.push(',');
        }
        let text = without_formulas(field);
        if text.len() > field.len() || text.contains(['"', ',', ';', '\t', '\n', '\r']) {
            line.push('"');
            line.push_str(&text.replace('"', "\"\""));
            line.push('"');
        } else {
            line.push_str(&text);
        }
    }
    line.push_str("\r\n");
    line
}

/// A spreadsheet that splits at semicolons or tabs, as those of half of Europe do, does not see our quotes and finds cells
/// within ours. So a sign counts wherever a cell may begin: at the start and after such a separator, quotes and blanks between.
fn without_formulas(field: &str) -> String {
    let mut text = String::with_capacity(field.len() + 1);
    if field.starts_with(['\t', '\r']) {
        text.push('\'');
    }
    let mut cell_begins = true;
    for c in field.chars() {
        if cell_begins && begins_formula(c) {
            text.push('\'');
        }
        text.push(c);
        cell_begins = match c {
            ';' | '\t' | '\r' | '\n' => true,
            ',' | '"' => cell_begins,
            c => cell_begins && c.is_whitespace(),
        };
    }
    text
}

/// The full-width and small forms count like the plain ones in Chinese, Japanese and Korean editions.
fn begins_formula(c: char) -> bool {
    matches!(c, '=' | '+' | '-' | '@' | '＝' | '＋' | '－' | '＠' | '﹦' | '﹢' | '﹣' | '﹫')
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
        for formula in [
            "=1+1",
            "+1",
            "-1",
            "@SUM(A1)",
            "=HYPERLINK(\"http://evil\")",
            "＝1+1",
            "＋1",
            "－1",
            "＠A1",
            "\t=1",
            "\r1",
        ] {
            let written = line([formula]);
            assert!(written.starts_with("\"'"), "{written}");
        }
    }

    #[test]
    fn no_formula_begins_where_another_separator_makes_a_cell() {
        for (text, expected) in [
            (";=1+1", r#"";'=1+1""#),
            ("a;=1+1", r#""a;'=1+1""#),
            (";\"=1+1\"", r#"";""'=1+1""""#),
            (" , =1", r#"" , '=1""#),
            ("\"\"＝1", r#""""""'＝1""#),
            ("a\t@b", "\"a\t'@b\""),
            ("a\n-b", "\"a\n'-b\""),
            ("a; b\r\n\"+c", "\"a; b\r\n\"\"'+c\""),
            ("\u{3000}=1", "\"\u{3000}'=1\""),
        ] {
            assert_eq!(line([text]), format!("{expected}\r\n"), "{text:?}");
        }
        // Words that only hold a sign stay as they are.
        for text in ["a-b", "a = b", "x@example.com", "Mozilla/5.0 (X11) +https://bot", "2026-01-21T12:34:56Z"] {
            assert_eq!(line([text]), format!("{text}\r\n"));
        }
        assert_eq!(line(["Mozilla/5.0 (X11; Linux)"]), "\"Mozilla/5.0 (X11; Linux)\"\r\n");
    }
}
