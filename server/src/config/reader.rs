//! Reads variables one by one and remembers every problem, so that all are reported at once.

use super::env_file::read_env_file;
use crate::problem::Problem;
use secrecy::SecretString;
use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet},
    fmt,
    path::{Path, PathBuf},
    str::FromStr,
};

/// The variables that configure the program: a `.env` file's, overridden by credentials, overridden by the process environment's.
#[derive(Clone, Default)]
pub struct Variables {
    values: BTreeMap<String, String>,
    source: Option<Source>,
}

/// Where variables can be read from again.
#[derive(Clone)]
struct Source {
    /// What a process is started with never changes.
    environment: BTreeMap<String, String>,
    file: PathBuf,
}

impl fmt::Debug for Variables {
    /// Names alone: among the values are secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.values.keys()).finish()
    }
}

impl Variables {
    /// The process environment over the `.env` file in the working directory, if there is one.
    ///
    /// # Errors
    /// When `.env` is there and lines of it cannot be read. They are not quoted: they may hold secrets.
    pub fn from_process() -> Result<Self, Vec<Problem>> {
        // A value that is no text belongs to somebody else; one of ours would be missed where it is read.
        let environment =
            std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
        Self::over(environment, Path::new(".env"))
    }

    /// An environment over a file, if there is one.
    ///
    /// # Errors
    /// When the file is there and lines of it cannot be read. They are not quoted: they may hold secrets.
    pub fn over(environment: impl IntoIterator<Item = (String, String)>, file: &Path) -> Result<Self, Vec<Problem>> {
        Self::read(Source { environment: environment.into_iter().collect(), file: file.into() })
    }

    /// The same variables as they are now. Those that came from nowhere stay as they are.
    ///
    /// # Errors
    /// As [`over`](Self::over).
    pub fn read_again(&self) -> Result<Self, Vec<Problem>> {
        self.source.clone().map_or_else(|| Ok(self.clone()), Self::read)
    }

    fn read(source: Source) -> Result<Self, Vec<Problem>> {
        let mut values = match std::fs::read(&source.file) {
            Ok(bytes) => read_env_file(&bytes, &source.environment)?,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => BTreeMap::new(),
            Err(error) => return Err(vec![Problem::new(".env", None, format!("a readable file ({error})"))]),
        };
        if let Some(folder) = source.environment.get(CREDENTIALS_DIRECTORY).filter(|folder| !folder.is_empty()) {
            values.extend(credentials(Path::new(folder))?);
        }
        values.extend(source.environment.iter().map(|(name, value)| (name.clone(), value.clone())));
        Ok(Self { values, source: Some(source) })
    }

    /// The value of a variable; an empty one counts as not set.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.values.get(name).map(|value| value.trim()).filter(|value| !value.is_empty())
    }

    /// The names that start with `prefix` and have a value.
    pub fn names_with<'a>(&'a self, prefix: &'a str) -> impl Iterator<Item = &'a str> {
        self.values.keys().map(String::as_str).filter(move |name| name.starts_with(prefix) && self.get(name).is_some())
    }
}

/// Names the folder of the credentials: set by systemd, and by the container recipe.
const CREDENTIALS_DIRECTORY: &str = "CREDENTIALS_DIRECTORY";

/// The files that are called as a variable is, each with its value. Others in the folder are for somebody else.
fn credentials(folder: &Path) -> Result<Vec<(String, String)>, Vec<Problem>> {
    let problem = |name: &str, accepted: String| vec![Problem::new(name, None, accepted)];
    let unreadable = |error| problem(CREDENTIALS_DIRECTORY, format!("a readable folder ({error})"));
    let files = match std::fs::read_dir(folder) {
        // A container that is given no secrets has no such folder.
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        files => files.map_err(unreadable)?,
    };
    let mut found = Vec::new();
    for file in files {
        let file = file.map_err(unreadable)?;
        let Ok(name) = file.file_name().into_string() else { continue };
        let is_variable = name.bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_');
        if is_variable && file.path().is_file() {
            let value = std::fs::read_to_string(file.path());
            found.push((
                name.clone(),
                value.map_err(|error| problem(&name, format!("a readable credential ({error})")))?,
            ));
        }
    }
    Ok(found)
}

impl<const N: usize> From<[(&str, &str); N]> for Variables {
    fn from(pairs: [(&str, &str); N]) -> Self {
        pairs.into_iter().collect()
    }
}

impl<N: Into<String>, V: Into<String>> FromIterator<(N, V)> for Variables {
    fn from_iter<I: IntoIterator<Item = (N, V)>>(pairs: I) -> Self {
        let values = pairs.into_iter().map(|(name, value)| (name.into(), value.into())).collect();
        Self { values, source: None }
    }
}

/// Reads variables and collects the problems.
pub(super) struct Reader<'a> {
    pub(super) variables: &'a Variables,
    pub(super) problems: Vec<Problem>,
    /// Every name that was asked for: what else there is belongs to others.
    pub(super) asked: RefCell<BTreeSet<String>>,
}

impl<'a> Reader<'a> {
    pub(super) fn new(variables: &'a Variables) -> Self {
        Self { variables, problems: Vec::new(), asked: RefCell::default() }
    }

    pub(super) fn text(&self, name: &str) -> Option<&'a str> {
        self.asked.borrow_mut().insert(name.to_owned());
        self.variables.get(name)
    }

    pub(super) fn secret(&self, name: &str) -> Option<SecretString> {
        self.text(name).map(SecretString::from)
    }

    pub(super) fn problem(&mut self, name: &str, value: &str, accepted: &str) {
        self.problems.push(Problem::new(name, Some(value), accepted));
    }

    /// A value that `read` understands; the default where there is none, or, after a problem, where it does not.
    pub(super) fn read<T>(&mut self, name: &str, default: T, accepted: &str, read: impl Fn(&str) -> Option<T>) -> T {
        let Some(value) = self.text(name) else { return default };
        read(value).unwrap_or_else(|| {
            self.problem(name, value, accepted);
            default
        })
    }

    pub(super) fn parse<T: FromStr>(&mut self, name: &str, default: T, accepted: &str) -> T {
        self.read(name, default, accepted, |value| value.parse().ok())
    }

    /// A whole number within bounds, both included.
    pub(super) fn number(&mut self, name: &str, default: u64, bounds: std::ops::RangeInclusive<u64>) -> u64 {
        let accepted = format!("a whole number from {} to {}", bounds.start(), bounds.end());
        self.read(name, default, &accepted, |value| value.parse().ok().filter(|number| bounds.contains(number)))
    }

    pub(super) fn flag(&mut self, name: &str, default: bool) -> bool {
        self.read(name, default, "true or false", flag)
    }
}

/// What TickStock's own `.env` writes for yes and no.
fn flag(value: &str) -> Option<bool> {
    match value.to_ascii_lowercase().as_str() {
        "true" | "1" | "yes" | "on" => Some(true),
        "false" | "0" | "no" | "off" => Some(false),
        _ => None,
    }
}
