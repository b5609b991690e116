//! What is wrong with a configuration, in words for the operator who has to mend it.

use std::fmt::{self, Write};

/// One thing that is wrong, and where it was written.
///
/// Nothing in it repeats the value of a secret, so it may be printed and logged.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Fault {
    /// The key at fault, such as `server.port`; for a fault of a whole source, that source's name.
    pub key: String,
    /// Where the value came from: a file's path, a variable's name, or `default`.
    pub origin: String,
    /// What is wrong, as the rest of a sentence about the key.
    pub problem: String,
    /// What would be right, where that can be said.
    pub allowed: Option<String>,
}

impl Fault {
    /// A fault of which `allowed` says what would be right.
    pub(super) fn new(
        key: impl Into<String>,
        origin: impl Into<String>,
        problem: impl Into<String>,
        allowed: impl Into<String>,
    ) -> Self {
        Self {
            allowed: Some(allowed.into()),
            ..Self::bare(key, origin, problem)
        }
    }

    /// A fault whose problem says it all.
    pub(super) fn bare(
        key: impl Into<String>,
        origin: impl Into<String>,
        problem: impl Into<String>,
    ) -> Self {
        Self {
            key: key.into(),
            origin: origin.into(),
            problem: problem.into(),
            allowed: None,
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut line = format!("{} ({}): {}", self.key, self.origin, self.problem);
        if let Some(allowed) = &self.allowed {
            line.push_str("; allowed: ");
            line.push_str(allowed);
        }
        // Names and paths may hold anything; a line break in one would look like another fault.
        for character in line.chars() {
            if character.is_control() {
                write!(out, "{}", character.escape_default())?;
            } else {
                out.write_char(character)?;
            }
        }
        Ok(())
    }
}

/// Everything that is wrong with a configuration, sorted by key; never empty.
///
/// Printed, it is one line for each fault.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Faults(Vec<Fault>);

impl Faults {
    /// The faults in the order in which they are printed.
    #[must_use]
    pub fn as_slice(&self) -> &[Fault] {
        &self.0
    }

    pub(super) fn sorted(mut faults: Vec<Fault>) -> Self {
        faults.sort();
        faults.dedup();
        Self(faults)
    }
}

impl fmt::Display for Faults {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, fault) in self.0.iter().enumerate() {
            if index > 0 {
                out.write_str("\n")?;
            }
            write!(out, "{fault}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Faults {}

/// The known key that an unknown one was probably meant to be.
///
/// Either a few slips of the finger away, or the right name in the wrong section.
pub(super) fn nearest<'a>(unknown: &str, known: &[&'a str]) -> Option<&'a str> {
    // Long keys forgive more slips, but never so many that an unrelated key is proposed.
    let forgiven = (unknown.chars().count() / 4).clamp(1, 3);
    let slip = known
        .iter()
        .map(|key| (strsim::damerau_levenshtein(unknown, key), *key))
        .min()
        .filter(|(distance, _)| *distance <= forgiven)
        .map(|(_, key)| key);
    slip.or_else(|| {
        let name = last_part(unknown);
        let mut namesakes = known.iter().filter(|key| last_part(key) == name);
        // Of several, such as `enabled`, none is more likely than the others.
        namesakes.next().copied().filter(|_| namesakes.next().is_none())
    })
}

fn last_part(key: &str) -> &str {
    key.rsplit('.').next().unwrap_or(key)
}
