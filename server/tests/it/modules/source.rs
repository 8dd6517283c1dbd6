//! Just enough of Rust's grammar to find paths.

/// The code without what is compiled for tests alone; says the names of the files that are.
pub(super) fn without_tests<'a>(code: &[&'a str], mut says_file: impl FnMut(&str)) -> Vec<&'a str> {
    let (mut kept, mut rest) = (Vec::new(), code);
    while let Some((first, after)) = rest.split_first() {
        let Some(item) = rest.strip_prefix(&["#", "[", "cfg", "(", "test", ")", "]"]) else {
            kept.push(*first);
            rest = after;
            continue;
        };
        // To the item's `;`, or the brace that closes its body.
        let mut depth = 0;
        let ends = |word: &&str| {
            depth += i32::from(matches!(*word, "(" | "[" | "{")) - i32::from(matches!(*word, ")" | "]" | "}"));
            depth == 0 && matches!(*word, ";" | "}")
        };
        let length = item.iter().position(ends).map_or(item.len(), |last| last + 1);
        if let [.., "mod", file, ";"] = item[..length] {
            says_file(file);
        }
        rest = &item[length..];
    }
    kept
}

/// The words of a source: names, `::` and single signs, without comments, texts, characters and lifetimes.
pub(super) fn words(source: &str) -> Vec<&str> {
    let (mut words, mut rest) = (Vec::new(), source);
    let through = |text: &str, end: &str| text.find(end).map_or(text.len(), |at| at + end.len());
    while let Some(first) = rest.chars().next() {
        let name = rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len());
        let hashes = rest[name..].bytes().take_while(|byte| *byte == b'#').count();
        let text = name + hashes + 1;
        let (length, is_word) = match first {
            '/' if rest.starts_with("//") => (through(rest, "\n"), false),
            '/' if rest.starts_with("/*") => (through(rest, "*/"), false),
            'r' | 'b' if matches!(&rest[..name], "r" | "br") && rest[name + hashes..].starts_with('"') => {
                (text + through(&rest[text..], &format!("\"{}", "#".repeat(hashes))), false)
            }
            '"' => {
                let mut end = 1;
                while !matches!(rest.as_bytes().get(end), None | Some(b'"')) {
                    end += 1 + usize::from(rest.as_bytes()[end] == b'\\');
                }
                ((end + 1).min(rest.len()), false)
            }
            '\'' if rest[1..].starts_with('\\') => (3 + through(&rest[3..], "'"), false),
            '\'' => {
                let character = rest[1..].chars().next().map_or(0, char::len_utf8);
                (if rest[1 + character..].starts_with('\'') { character + 2 } else { 1 }, false)
            }
            _ if name > 0 => (name, true),
            _ if rest.starts_with("::") => (2, true),
            _ => (first.len_utf8(), !first.is_whitespace()),
        };
        words.extend(is_word.then_some(&rest[..length]));
        rest = &rest[length..];
    }
    words
}

/// The paths of a tree such as `a::{b, c::{self, d as e}}` at `place`, each with the name that it gives; answers where it ends.
pub(super) fn leaves_of(
    code: &[&str],
    mut place: usize,
    before: &[String],
    leaves: &mut Vec<(Vec<String>, String)>,
) -> usize {
    let word = |place: usize| code.get(place).copied().unwrap_or_default();
    let mut path = before.to_vec();
    while word(place).starts_with(|c: char| c.is_ascii_alphabetic() || c == '_') {
        path.push(word(place).to_owned());
        place += 1;
        if word(place) != "::" {
            break;
        }
        place += 1;
        if word(place) == "{" {
            place += 1;
            while !matches!(word(place), "}" | "") {
                place = leaves_of(code, place, &path, leaves).max(place + 1);
            }
            return place + 1;
        }
    }
    if path.len() > 1 && path.last().is_some_and(|last| last == "self") {
        path.pop();
    }
    let Some(last) = path.last() else { return place };
    let (known_as, end) = if word(place) == "as" { (word(place + 1), place + 2) } else { (last.as_str(), place) };
    leaves.push((path.clone(), known_as.to_owned()));
    end
}
