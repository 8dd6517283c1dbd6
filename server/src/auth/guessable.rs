//! Passwords made of what somebody who knows the account, the installation and the calendar tries first.
//!
//! zxcvbn gives three words in a row the credit of not knowing that there are three: `Summer2026!!` passes. So whatever such
//! somebody knows is struck out, written forwards or backwards and with the usual digits and signs for letters, and what is left
//! has to be hard to guess by itself.

use std::sync::Arc;
use unicode_normalization::UnicodeNormalization;

/// Of what is left, as a power of ten: two words that have nothing to do with one another.
const LEFT_GUESSES_LOG10: f64 = 6.0;
/// Shorter words are in every other word.
const WORD_CHARS_MIN: usize = 3;

/// The product's, and what it is about.
pub(super) const OUR_WORDS: [&str; 12] = [
    "tickstock",
    "ticker",
    "stock",
    "market",
    "monitor",
    "dashboard",
    "websocket",
    "massive",
    "polygon",
    "administrator",
    "admin",
    "localhost",
];
const COMPANY: [&str; 9] = ["corp", "inc", "ltd", "llc", "gmbh", "limited", "company", "group", "team"];
const CALENDAR: [&str; 38] = [
    "spring",
    "summer",
    "autumn",
    "fall",
    "winter",
    "monday",
    "tuesday",
    "wednesday",
    "thursday",
    "friday",
    "saturday",
    "sunday",
    "january",
    "february",
    "march",
    "april",
    "may",
    "june",
    "july",
    "august",
    "september",
    "october",
    "november",
    "december",
    "frühling",
    "sommer",
    "herbst",
    "printemps",
    "été",
    "automne",
    "hiver",
    "primavera",
    "verano",
    "otoño",
    "invierno",
    "estate",
    "autunno",
    "inverno",
];

/// Names that belong to an installation: the machine's, and those that people reach it by.
#[derive(Clone, Debug, Default)]
pub struct Names(Arc<[String]>);

impl Names {
    /// This machine's name, and the names in some addresses: hosts or URLs, separated by commas.
    #[must_use]
    pub fn of_installation(addresses: &[Option<&str>]) -> Self {
        let machine = ["/proc/sys/kernel/hostname", "/etc/hostname"]
            .into_iter()
            .find_map(|file| std::fs::read_to_string(file).ok());
        Self::new(machine.into_iter().chain(addresses.iter().flatten().map(|text| (*text).to_owned())))
    }

    fn new(texts: impl Iterator<Item = String>) -> Self {
        let words = texts.flat_map(|text| words_in(&text).map(str::to_owned).collect::<Vec<_>>());
        // The scheme of a URL is no name.
        Self(words.filter(|word| !["http", "https"].contains(&word.as_str())).collect())
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(String::as_str)
    }
}

/// Words of an email, a host name or a URL.
pub(super) fn words_in(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| !c.is_alphanumeric()).filter(|word| word.chars().count() >= WORD_CHARS_MIN)
}

/// Is what remains without the known words few guesses? `known` is known of the account and the installation.
pub(super) fn is_guessable(password: &str, known: &[&str]) -> bool {
    // Full-width letters, as keyboards in East Asia write them, are the same letters.
    let letters: Vec<char> = password.nfkc().flat_map(char::to_lowercase).collect();
    let mut is_known = vec![false; letters.len()];
    for word in known.iter().copied().chain(OUR_WORDS).chain(COMPANY).chain(CALENDAR) {
        let mut word: Vec<char> = word.chars().flat_map(char::to_lowercase).collect();
        strike(&letters, &word, &mut is_known);
        word.reverse();
        strike(&letters, &word, &mut is_known);
    }
    strike_years(&letters, &mut is_known);
    if !is_known.contains(&true) {
        return false;
    }
    // Signs between words are soon tried.
    let is_left = |(letter, known): &(&char, &bool)| !**known && letter.is_alphanumeric();
    let left: String = letters.iter().zip(&is_known).filter(is_left).map(|(letter, _)| *letter).collect();
    left.is_empty() || zxcvbn::zxcvbn(&left, &[]).guesses_log10() < LEFT_GUESSES_LOG10
}

fn strike(letters: &[char], word: &[char], is_known: &mut [bool]) {
    for (start, window) in letters.windows(word.len()).enumerate() {
        if window.iter().zip(word).all(|(written, letter)| stands_for(*written, *letter)) {
            is_known[start..start + word.len()].fill(true);
        }
    }
}

/// 1900 to 2099, forwards or backwards.
fn strike_years(letters: &[char], is_known: &mut [bool]) {
    for (start, window) in letters.windows(4).enumerate() {
        let is_year = |digits: [char; 4]| {
            matches!(digits, ['1', '9', ..] | ['2', '0', ..]) && digits.iter().all(char::is_ascii_digit)
        };
        let [a, b, c, d] = [window[0], window[1], window[2], window[3]];
        if is_year([a, b, c, d]) || is_year([d, c, b, a]) {
            is_known[start..start + 4].fill(true);
        }
    }
}

fn stands_for(written: char, letter: char) -> bool {
    written == letter
        || match letter {
            'a' => "4@",
            'b' => "8",
            'c' => "(<",
            'e' => "3",
            'g' => "69",
            'i' => "1!|",
            'l' => "17|",
            'o' => "0",
            's' => "5$",
            't' => "7+",
            'z' => "2",
            _ => "",
        }
        .contains(written)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_somebody_who_knows_us_tries_first_is_guessable() {
        let (ann, admin) = ("ann.lee@example.com", "admin@example.com");
        let names =
            Names::new(["https://ticks.acmetrading.io:8443/".to_owned(), "trader-box7, desk\n".to_owned()].into_iter());
        for (password, email) in [
            ("monitor@example.com", admin),
            ("Summer2026!!", ann),
            ("Winter2026Winter", ann),
            ("ExampleCorp2026", ann),
            ("Summ3r2026!!", ann),
            ("5umm3r-2025-W1nt3r", ann),
            ("!!6202remmuS", ann),
            ("moc.elpmaxe@nimda", admin),
            ("January2027January", ann),
            ("MondayTuesday1", ann),
            ("Sommer2026Sommer", ann),
            ("Dragon2026!!", ann),
            ("AnnLee2026!!", ann),
            ("3x4mpl3.c0m#1", ann),
            ("AcmeTrading2026", ann),
            ("ticks.acmetrading.io", ann),
            ("Trader-Box7-2026", ann),
            ("TickStockAdmin!", ann),
            ("w3bs0cketM0nitor", ann),
            ("Ｓｕｍｍｅｒ２０２６！！", ann),
            ("Q1-2026-Q1-2026", ann),
        ] {
            let known: Vec<_> = words_in(email).chain(names.iter()).collect();
            assert!(is_guessable(password, &known), "{password}");
        }
        for password in [
            "correct horse battery staple",
            "korrekt pferd batterie",
            "violet kettle in march drumming",
            "the market is a purple lantern",
            "Vq7#pl0x!tRm9z",
            "kT2026Xw9!fQz",
            "seven purple lanterns drift",
        ] {
            let known: Vec<_> = words_in(ann).chain(names.iter()).collect();
            assert!(!is_guessable(password, &known), "{password}");
        }
    }

    #[test]
    fn names_are_words_of_hosts_and_urls() {
        let names =
            Names::new(["https://ticks.example.com:8443/".to_owned(), "a-b, Monitor7\n".to_owned()].into_iter());
        assert_eq!(names.iter().collect::<Vec<_>>(), ["ticks", "example", "com", "8443", "Monitor7"]);
    }
}
