//! Tests of the configuration: each has a directory and an environment of its own.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use super::{Config, Faults, Loaded, Need, Setting, Sources};

mod cases;
mod default_file;
mod keys;
mod layers;
mod production;
mod secrets;
mod sources;
mod unknown;
mod values;

/// 32 bytes of SHA-256, so random enough for production.
const GOOD_KEY: &str = "bLTNZGEwTcoP61WRFRURWBaIRzhjEPvTLJfCRE1lZrM=";

/// What configuration is read from, made step by step.
struct World {
    directory: TempDir,
    sources: Sources,
}

impl World {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let sources = Sources {
            variables: BTreeMap::new(),
            directory: directory.path().to_owned(),
            file: None,
        };
        Self { directory, sources }
    }

    /// A production that starts: without any more it has no fault.
    fn production() -> Self {
        Self::new()
            .variable("ROSTER_ENV", "production")
            .variable("ROSTER__SERVER__PUBLIC_URL", "https://accounts.example.org")
            .variable("ROSTER__SECURITY__SECRET_KEY", GOOD_KEY)
    }

    fn variable(mut self, name: &str, value: &str) -> Self {
        self.sources.variables.insert(name.to_owned(), value.to_owned());
        self
    }

    fn file(self, name: &str, content: &str) -> Self {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
        self
    }

    /// A file in the directory that is given by `--config`.
    fn extra(mut self, content: &str) -> Self {
        self.sources.file = Some(self.path("extra.toml"));
        self.file("extra.toml", content)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn shown(&self, name: &str) -> String {
        shown(&self.path(name))
    }

    fn result(&self) -> Result<Loaded, Faults> {
        Config::load(&self.sources, Need::Everything)
    }

    #[track_caller]
    fn load(&self) -> Loaded {
        self.result().unwrap()
    }

    #[track_caller]
    fn config(&self) -> Config {
        self.load().config
    }

    /// The faults as printed, of which there have to be some.
    #[track_caller]
    fn faults(&self) -> String {
        self.result().unwrap_err().to_string()
    }

    /// Asserts that there is exactly one fault and that it says all of this.
    #[track_caller]
    fn refuses(&self, parts: &[&str]) {
        let faults = self.faults();
        assert_eq!(faults.lines().count(), 1, "{faults}");
        for part in parts {
            assert!(faults.contains(part), "{part:?} is not in {faults}");
        }
    }
}

fn shown(path: &Path) -> String {
    path.display().to_string()
}

#[track_caller]
fn setting<'a>(loaded: &'a Loaded, key: &str) -> &'a Setting {
    loaded.settings.iter().find(|setting| setting.key == key).unwrap()
}
