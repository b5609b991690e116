//! Hash schemes that nobody signs in with any more.

use chrono::{DateTime, Utc};

use super::passwords::StoredScheme;
use crate::domain::PasswordHash;

/// From when on hashes of which schemes are as good as none.
#[derive(Clone, Debug, Default)]
pub struct RetiredSchemes(Vec<(String, DateTime<Utc>)>);

impl RetiredSchemes {
    /// Takes names of schemes, each with the moment from which on it is out of use.
    #[must_use]
    pub fn new(schemes: Vec<(String, DateTime<Utc>)>) -> Self {
        Self(schemes)
    }

    /// From when on a scheme is out of use, if that is said.
    #[must_use]
    pub fn at(&self, scheme: &str) -> Option<DateTime<Utc>> {
        let found = self.0.iter().find(|(name, _)| name == scheme);
        found.map(|(_, at)| *at)
    }

    /// The hash, unless its scheme is out of use by now.
    #[must_use]
    pub fn filter(&self, hash: Option<PasswordHash>, now: DateTime<Utc>) -> Option<PasswordHash> {
        if self.0.is_empty() {
            return hash;
        }
        hash.filter(|hash| {
            let Ok(scheme) = StoredScheme::of(hash) else {
                return true;
            };
            let text = scheme.to_string();
            let name = text.split(' ').next().unwrap_or_default();
            self.at(name).is_none_or(|at| now < at)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scheme_is_out_of_use_from_its_date_on() {
        let at: DateTime<Utc> = "2027-01-01T00:00:00Z".parse().unwrap();
        let retired = RetiredSchemes::new(vec![("bcrypt".to_owned(), at)]);
        let bcrypt = || Some(PasswordHash::from_stored(format!("$2b$04${}", "a".repeat(53))));
        let argon2 = || {
            let digest = "YWFhYWFhYWFhYWFhYWFhYQ";
            Some(PasswordHash::from_stored(format!(
                "$argon2id$v=19$m=64,t=1,p=1${digest}${digest}"
            )))
        };
        let before = at - chrono::TimeDelta::milliseconds(1);
        assert!(retired.filter(bcrypt(), before).is_some());
        assert!(retired.filter(bcrypt(), at).is_none());
        assert!(retired.filter(argon2(), at).is_some());
        assert!(retired.filter(None, at).is_none());
        assert!(RetiredSchemes::default().filter(bcrypt(), at).is_some());
    }
}
