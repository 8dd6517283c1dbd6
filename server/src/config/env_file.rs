//! `.env` files: lines of the form `NAME=value`.
//!
//! Taken is what has one meaning. A value without quotes goes to the end of its line, or to a `#` with a blank in front;
//! blanks, commas and quotes in it are its own. Single quotes keep everything as it is. Double quotes know `\n`, `\r`, `\t`,
//! `\"`, `\\` and `\$`. Quoted values may have several lines. Outside single quotes `${NAME}` stands for another variable,
//! and a `$` that may be meant for one is refused. No error repeats a value: it may be a secret.

use crate::problem::Problem;
use std::collections::BTreeMap;

/// What a file says, the last one of each name; `${NAME}` is looked up in `environment` first, then in the lines before.
///
/// # Errors
/// Every line that cannot be read, with its number, and its name where it has one.
pub fn read_env_file(
    bytes: &[u8],
    environment: &BTreeMap<String, String>,
) -> Result<BTreeMap<String, String>, Vec<Problem>> {
    let text = match text(bytes) {
        Ok(text) => text,
        Err(problem) => return Err(vec![problem]),
    };
    let mut lines = Lines { rest: text, number: 1 };
    let mut values: BTreeMap<String, String> = BTreeMap::new();
    let mut problems = Vec::new();
    while !lines.rest.is_empty() {
        let number = lines.number;
        match lines.next(&|name| environment.get(name).or_else(|| values.get(name)).cloned()) {
            Ok(None) => {}
            Ok(Some((name, value))) => drop(values.insert(name, value)),
            Err((name, accepted)) => {
                let place = name.map_or_else(|| format!("line {number}"), |name| format!("line {number}, {name}"));
                problems.push(Problem::new(".env", None, format!("{accepted} ({place})")));
            }
        }
    }
    if problems.is_empty() { Ok(values) } else { Err(problems) }
}

/// UTF-8, with or without the mark that some editors put in front.
fn text(bytes: &[u8]) -> Result<&str, Problem> {
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    std::str::from_utf8(bytes).map_err(|error| {
        let number = 1 + bytes[..error.valid_up_to()].iter().filter(|byte| **byte == b'\n').count();
        Problem::new(".env", None, format!("UTF-8 text (line {number})"))
    })
}

/// What is left of the file.
struct Lines<'a> {
    rest: &'a str,
    number: usize,
}

/// A name, if there was one, and what would be accepted.
type Refused = (Option<String>, String);

impl Lines<'_> {
    /// The next line, or several where a quoted value has them; `None` for one that says nothing.
    fn next(&mut self, look_up: &dyn Fn(&str) -> Option<String>) -> Result<Option<(String, String)>, Refused> {
        let line = self.rest.split('\n').next().unwrap_or_default();
        let said = line.trim();
        if said.is_empty() || said.starts_with('#') {
            self.skip(line.len());
            return Ok(None);
        }
        let named = line.split_once('=').map(|(name, _)| (name.len() + 1, name.trim()));
        let named = named.map(|(end, name)| (end, strip_export(name))).filter(|(_, name)| is_name(name));
        let Some((start, name)) = named else {
            self.skip(line.len());
            return Err((None, "NAME=value, with a name of letters, digits and `_`".to_owned()));
        };
        let name = name.to_owned();
        // Blanks in front of a value, but not the end of the line.
        let blanks = line[start..].len() - line[start..].trim_start().len();
        let value = &self.rest[start + blanks..];
        let read = match value.chars().next() {
            Some(quote @ ('\'' | '"')) => quoted(value, quote),
            _ => Ok((unquoted(&line[start..], blanks), line.len() - start - blanks)),
        };
        let (pieces, length) = match read {
            Ok(read) => read,
            Err(accepted) => {
                self.skip(line.len());
                return Err((Some(name), accepted));
            }
        };
        self.skip(start + blanks + length);
        let value = fill_in(pieces, look_up).map_err(|accepted| (Some(name.clone()), accepted))?;
        Ok(Some((name, value)))
    }

    /// Goes on behind so many bytes and the end of the line they end on.
    fn skip(&mut self, length: usize) {
        let (gone, rest) = self.rest.split_at(length);
        self.number += gone.matches('\n').count();
        self.rest = match rest.strip_prefix('\n') {
            Some(rest) => {
                self.number += 1;
                rest
            }
            None => rest,
        };
    }
}

/// Shells that read the file as a script want it there.
fn strip_export(name: &str) -> &str {
    name.strip_prefix("export").filter(|rest| rest.starts_with(char::is_whitespace)).map_or(name, str::trim_start)
}

fn is_name(name: &str) -> bool {
    !name.starts_with(|c: char| c.is_ascii_digit())
        && !name.is_empty()
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-'))
}

/// A part of a value.
enum Piece {
    /// As it stands.
    Plain(String),
    /// In it `$` means something.
    Open(String),
}

/// A value without quotes: to a comment, or to the end.
fn unquoted(text: &str, start: usize) -> Vec<Piece> {
    let is_comment = |(at, c): &(usize, char)| *c == '#' && text[..*at].ends_with(char::is_whitespace);
    let end = text.char_indices().find(is_comment).map_or(text.len(), |(at, _)| at);
    let value = text.get(start..end).unwrap_or_default().trim();
    pieces(value, |c| (c == '$').then_some('$'))
}

/// A value that begins with a quote: what is in it, and its length with all that follows on its last line.
fn quoted(text: &str, quote: char) -> Result<(Vec<Piece>, usize), String> {
    let is_end = |at: usize| {
        let escapes = text[1..at].bytes().rev().take_while(|byte| *byte == b'\\').count();
        quote == '\'' || escapes % 2 == 0
    };
    let end = text.char_indices().skip(1).find(|(at, c)| *c == quote && is_end(*at));
    let Some((end, _)) = end else {
        return Err(format!("a closing {quote} for the one that begins the value"));
    };
    let behind = text[end + 1..].split('\n').next().unwrap_or_default();
    let rest = behind.trim();
    if !(rest.is_empty() || rest.starts_with('#') && behind.starts_with(char::is_whitespace)) {
        return Err(format!("nothing after the closing {quote}, or no quotes at all"));
    }
    let inner = text[1..end].replace("\r\n", "\n");
    let pieces = if quote == '\'' {
        vec![Piece::Plain(inner)]
    } else {
        pieces(&inner, |c| match c {
            'n' => Some('\n'),
            'r' => Some('\r'),
            't' => Some('\t'),
            '"' | '\\' | '$' => Some(c),
            _ => None,
        })
    };
    Ok((pieces, end + 1 + behind.len()))
}

/// Takes out what a backslash makes something else of; a backslash before anything else is a backslash.
fn pieces(text: &str, escape: impl Fn(char) -> Option<char>) -> Vec<Piece> {
    let (mut pieces, mut open) = (Vec::new(), String::new());
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match (c, chars.peek().and_then(|next| escape(*next))) {
            ('\\', Some(meant)) => {
                chars.next();
                pieces.push(Piece::Open(std::mem::take(&mut open)));
                pieces.push(Piece::Plain(meant.to_string()));
            }
            _ => open.push(c),
        }
    }
    pieces.push(Piece::Open(open));
    pieces
}

fn fill_in(pieces: Vec<Piece>, look_up: &dyn Fn(&str) -> Option<String>) -> Result<String, String> {
    let mut value = String::new();
    for piece in pieces {
        let text = match piece {
            Piece::Plain(text) => {
                value += &text;
                continue;
            }
            Piece::Open(text) => text,
        };
        let mut rest = text.as_str();
        while let Some((before, after)) = rest.split_once('$') {
            value += before;
            rest = after;
            let name = after.strip_prefix('{').and_then(|inner| inner.split_once('}'));
            match name {
                Some((name, behind)) if is_name(name) => {
                    let Some(other) = look_up(name) else {
                        // What stands there may be part of a secret.
                        return Err("a variable that is set in `${…}`, or single quotes around the value".to_owned());
                    };
                    value += &other;
                    rest = behind;
                }
                None if after.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_') => {
                    return Err("single quotes around a value with a `$`, or ${NAME} for another variable".to_owned());
                }
                // No name can begin here.
                _ => value.push('$'),
            }
        }
        value += rest;
    }
    Ok(value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(text: &str) -> Result<Vec<(String, String)>, Vec<String>> {
        let environment = [("OUTSIDE".to_owned(), "out".to_owned())].into();
        let problems = |problems: Vec<Problem>| problems.iter().map(ToString::to_string).collect();
        read_env_file(text.as_bytes(), &environment).map(|values| values.into_iter().collect()).map_err(problems)
    }

    fn value(text: &str) -> String {
        let mut values = read(text).unwrap_or_else(|problems| panic!("{text:?}: {problems:?}"));
        assert_eq!(values.len(), 1, "{text:?}");
        assert_eq!(values[0].0, "A", "{text:?}");
        values.remove(0).1
    }

    #[test]
    fn what_has_one_meaning_is_taken() {
        for (text, expected) in [
            ("A=b", "b"),
            ("\u{feff}A=b\n", "b"),
            ("A=b ", "b"),
            ("A=b\t\r\n", "b"),
            ("A=b\n \t", "b"),
            (" export A = b # why\n", "b"),
            ("A=AAPL, MSFT", "AAPL, MSFT"),
            (r#"A=["AAPL","MSFT"]"#, r#"["AAPL","MSFT"]"#),
            ("A=it's", "it's"),
            (r"A=C:\new\data", r"C:\new\data"),
            ("A=p#w", "p#w"),
            ("A=#w", "#w"),
            ("A= # nothing", ""),
            ("A=", ""),
            ("A=b=c==", "b=c=="),
            ("A='$x \\n \" # y'", "$x \\n \" # y"),
            (r#"A="a\"b\\c\$d\q""#, r#"a"b\c$d\q"#),
            ("A=\"one\ntwo\" # why", "one\ntwo"),
            ("A='one\r\ntwo'\r\n", "one\ntwo"),
            ("A=${OUTSIDE}side", "outside"),
            ("A=1\nA=${A}2", "12"),
            ("A=$5 100$", "$5 100$"),
            (r"A=\$x", "$x"),
        ] {
            assert_eq!(value(text), expected, "{text:?}");
        }
    }

    #[test]
    fn what_is_not_understood_is_named_by_line_and_variable_and_not_repeated() {
        for (text, expected) in [
            ("\n\nsecret", ".env: expected NAME=value, with a name of letters, digits and `_` (line 3)"),
            ("A: secret=x", ".env: expected NAME=value, with a name of letters, digits and `_` (line 1)"),
            ("A=1\nB='secret\n", ".env: expected a closing ' for the one that begins the value (line 2, B)"),
            ("A=\"secret\"x", ".env: expected nothing after the closing \", or no quotes at all (line 1, A)"),
            (
                "A='1\n2'\nB=secret$x",
                ".env: expected single quotes around a value with a `$`, or ${NAME} for another variable (line 3, B)",
            ),
            (
                "A=secret${NONE}",
                ".env: expected a variable that is set in `${…}`, or single quotes around the value (line 1, A)",
            ),
        ] {
            assert_eq!(read(text), Err(vec![expected.to_owned()]), "{text:?}");
        }
        let latin = read_env_file(b"A=1\nB=\xe4", &BTreeMap::new()).expect_err("not UTF-8");
        assert_eq!(latin[0].to_string(), ".env: expected UTF-8 text (line 2)");
        assert_eq!(read("nothing\nA=$b\nC=1").map_err(|problems| problems.len()), Err(2), "all at once");
    }

    proptest! {
        #[test]
        fn a_value_in_single_quotes_is_itself(text in "[^'\\r\\x00]{0,40}") {
            prop_assert_eq!(value(&format!("A='{text}'")), text);
        }

        #[test]
        fn a_value_in_double_quotes_is_itself_once_escaped(text in "[^\\r\\x00]{0,40}") {
            let escaped = text.replace('\\', r"\\").replace('"', "\\\"").replace('$', r"\$");
            prop_assert_eq!(value(&format!("A=\"{escaped}\"")), text);
        }

        #[test]
        fn a_value_without_quotes_keeps_what_is_in_it(
            text in "[!-#%-&(-~ä]([!-#%-\\[\\]-~ ä]{0,30}[!-#%-\\[\\]-~ä])?",
            blanks in "[ \\t]{0,2}",
            end in "( |\\t|\\r\\n|\\n| # why)?",
            mark in "\u{feff}?",
        ) {
            prop_assume!(!text.contains(" #") && !text.starts_with('"'));
            let file = format!("{mark}A{blanks}={blanks}{text}{end}");
            // Behind a blank, a `#` begins a comment.
            let is_comment = text.starts_with('#') && !blanks.is_empty();
            prop_assert_eq!(value(&file), if is_comment { "" } else { text.as_str() });
        }

        #[test]
        fn whatever_the_file_holds_it_is_read_or_refused_by_line(text in "([A-B=$\\{\\}'\"\\\\# \\n\\r]|\\PC){0,60}") {
            let lines = text.split('\n').count();
            for problem in read(&text).err().into_iter().flatten() {
                let number = problem.rsplit_once("(line ").map(|(_, rest)| rest.trim_end_matches(')'));
                let number = number.and_then(|rest| rest.split(',').next()?.parse::<usize>().ok());
                prop_assert!(number.is_some_and(|number| (1..=lines).contains(&number)), "{}", problem);
            }
        }

        #[test]
        fn no_bytes_break_it(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = read_env_file(&bytes, &BTreeMap::new());
        }
    }
}
