//! Where configuration comes from: files, `.env` and variables, gathered into layers.
//!
//! Nothing here knows which keys exist; it only finds what was written and remembers where.

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::fmt;
use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use ::config::{File, FileFormat, Map, Source, Value};

use super::Environment;
use super::fault::Fault;
use super::layer::{Layer, SHORT_NAMES, sets_a_key, variable};
use super::raw::shown;

/// The variable that chooses the environment.
const ENVIRONMENT: &str = "ROSTER_ENV";

/// Everything outside the program that configuration is read from.
///
/// Plain data, so that a test can have an environment of its own.
#[derive(Clone)]
pub struct Sources {
    /// Environment variables; those that are not Roster's are ignored. A value with U+FFFD in it
    /// counts as not valid UTF-8, which is how [`Sources::from_process`] passes such a value on.
    pub variables: BTreeMap<String, String>,
    /// The directory that holds `config/` and `.env`; empty means the working directory.
    pub directory: PathBuf,
    /// The file given by `--config`, which has to exist.
    pub file: Option<PathBuf>,
}

impl Sources {
    /// The variables and the working directory of this process, and the file given by `--config`.
    #[must_use]
    pub fn from_process(file: Option<PathBuf>) -> Self {
        Self::from_variables(std::env::vars_os(), file)
    }

    /// Keeps Roster's own variables only: what isn't kept can't be shown by accident.
    pub(super) fn from_variables(
        variables: impl Iterator<Item = (OsString, OsString)>,
        file: Option<PathBuf>,
    ) -> Self {
        // A value that isn't UTF-8 is kept with U+FFFD in it and refused where its key is read, so
        // that the fault stands beside all others.
        let variables = variables
            .map(|(name, value)| (lossy(&name), lossy(&value)))
            .filter(|(name, _)| name.starts_with("ROSTER_") || sets_a_key(name))
            .collect();
        Self {
            variables,
            directory: PathBuf::new(),
            file,
        }
    }

    /// Reads every layer, lowest first. What can't be read is a fault and leaves its layer out.
    pub(super) fn gather(&self) -> Gathered {
        let mut gathered = Gathered::default();
        gathered.environment = self.environment(&mut gathered.faults);
        let folder = self.directory.join("config");
        let own = format!("{}.toml", gathered.environment);
        gathered.add_file(&folder.join("default.toml"), false);
        gathered.add_file(&folder.join(own), false);
        if let Some(path) = &self.file {
            gathered.add_file(path, true);
        }
        gathered.add_dotenv(&self.directory.join(".env"));
        gathered.add_variables(None, self.variables.clone());
        gathered
    }

    fn environment(&self, faults: &mut Vec<Fault>) -> Environment {
        match self.variables.get(ENVIRONMENT).map(String::as_str) {
            None | Some("" | "development") => Environment::Development,
            Some("production") => Environment::Production,
            Some(other) => {
                faults.push(Fault::new(
                    ENVIRONMENT,
                    ENVIRONMENT,
                    format!("{} is not an environment", shown(other)),
                    "development or production",
                ));
                // The start is refused anyway; production would only add its own demands to the
                // faults, which may not be meant.
                Environment::Development
            }
        }
    }
}

// The variables hold secrets, so only their names are shown.
impl fmt::Debug for Sources {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<_> = self.variables.keys().collect();
        out.debug_struct("Sources")
            .field("variables", &names)
            .field("directory", &self.directory)
            .field("file", &self.file)
            .finish()
    }
}

fn lossy(text: &OsString) -> String {
    text.to_string_lossy().into_owned()
}

/// The layers, lowest first, and what there is to say about reading them.
#[derive(Default)]
pub(super) struct Gathered {
    pub(super) environment: Environment,
    pub(super) layers: Vec<Layer>,
    pub(super) faults: Vec<Fault>,
    pub(super) notices: Vec<String>,
}

impl Gathered {
    fn add_file(&mut self, path: &Path, required: bool) {
        let name = path.display().to_string();
        match fs::read_to_string(path) {
            Ok(text) => match parse_toml(&text) {
                Ok(table) => self.layers.push(Layer::File { path: name, table }),
                Err((place, problem)) => self.faults.push(Fault::bare(name, place, problem)),
            },
            Err(error) if error.kind() == io::ErrorKind::NotFound && !required => {}
            Err(error) => self.faults.push(Fault::bare(
                name,
                if required { "--config" } else { "file" },
                format!("can't be read: {error}"),
            )),
        }
    }

    fn add_dotenv(&mut self, path: &Path) {
        let name = path.display().to_string();
        if self.environment == Environment::Production {
            if path.exists() {
                self.notices.push(format!("{name} is not read in production"));
            }
            return;
        }
        match fs::read_to_string(path) {
            Ok(text) => {
                let variables = self.parse_dotenv(&name, &text);
                self.add_variables(Some(name), variables);
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => {
                let problem = format!("can't be read: {error}");
                self.faults.push(Fault::bare(name, "file", problem));
            }
        }
    }

    /// The variables of a `.env` file that set a key. `$NAME` is replaced as usual in such files.
    fn parse_dotenv(&mut self, name: &str, text: &str) -> BTreeMap<String, String> {
        let line = Cell::new(0);
        let mut variables = BTreeMap::new();
        let mut twice = BTreeSet::new();
        let text = text.trim_start_matches('\u{feff}');
        for entry in dotenvy::from_read_iter(Lines::new(text, &line)) {
            match entry {
                Ok((variable, _)) if variable == ENVIRONMENT => self.notices.push(format!(
                    "{ENVIRONMENT} in {name} has no effect: set it in the environment of the process"
                )),
                Ok((variable, value)) if sets_a_key(&variable) => {
                    if variables.insert(variable.clone(), value).is_some() {
                        twice.insert(variable);
                    }
                }
                Ok(_) => {}
                // The error itself repeats the line, which may hold a secret.
                Err(_) => self.faults.push(Fault::new(
                    name,
                    format!("line {}", line.get()),
                    "is not valid, or a quote before it is not closed",
                    "NAME=value, with quotes around a value that has spaces or quotes in it",
                )),
            }
        }
        for variable in twice {
            // Shells take the last one, dotenv libraries the first.
            let origin = name.to_owned();
            self.faults
                .push(Fault::bare(variable, origin, "is set more than once"));
        }
        variables
    }

    fn add_variables(&mut self, file: Option<String>, variables: BTreeMap<String, String>) {
        let layer = Layer::Variables { file, variables };
        if let Layer::Variables { variables, .. } = &layer {
            let set = |name: &str| variables.get(name).is_some_and(|value| !value.is_empty());
            for (short, key) in SHORT_NAMES {
                let long = variable(key);
                if set(short) && set(&long) {
                    let origin = layer.origin(short);
                    self.notices
                        .push(format!("{origin} is not used: {long} wins over it"));
                }
            }
        }
        self.layers.push(layer);
    }
}

/// Parses TOML; the error is the place and the problem, without the file's text, which may hold a secret.
fn parse_toml(text: &str) -> Result<Map<String, Value>, (String, String)> {
    let error = match File::from_str(text, FileFormat::Toml).collect() {
        Ok(table) => return Ok(table),
        Err(::config::ConfigError::FileParse { cause, .. }) => cause.to_string(),
        Err(other) => other.to_string(),
    };
    // "TOML parse error at line 3, column 5", the line itself between bars, and the message last.
    let mut lines = error.lines().filter(|line| !line.trim().is_empty());
    let first = lines.next().unwrap_or_default();
    match first.split_once(" at line ") {
        Some((_, place)) => {
            let message = lines.next_back().unwrap_or("unexpected text");
            Err((format!("line {place}"), format!("is not valid TOML: {message}")))
        }
        // A number too large for TOML comes without a place.
        None => Err(("file".to_owned(), format!("is not valid TOML: {first}"))),
    }
}

/// Hands out text line by line and counts, because the parser doesn't say where it is.
struct Lines<'a> {
    rest: &'a [u8],
    ended: usize,
    current: &'a Cell<usize>,
}

impl<'a> Lines<'a> {
    fn new(text: &'a str, current: &'a Cell<usize>) -> Self {
        Self {
            rest: text.as_bytes(),
            ended: 0,
            current,
        }
    }
}

impl Read for Lines<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let line = self.rest.split_inclusive(|byte| *byte == b'\n').next();
        let Some(line) = line else { return Ok(0) };
        let count = (&mut &*line).read(buffer)?;
        self.current.set(self.ended + 1);
        if count == line.len() && line.ends_with(b"\n") {
            self.ended += 1;
        }
        self.rest = self.rest.split_at(count).1;
        Ok(count)
    }
}
