//! Whether a chosen password is good enough, and if not, why.
//!
//! ASVS 5.0 6.2.4 (common passwords), 6.2.11 (context), 6.2.12 (breached); NIST SP 800-63B-4 section 3.1.1.2. There are no
//! rules about kinds of characters.

use super::breached::{BreachedFileFault, BreachedPasswords};
use super::common::is_common;
use super::estimate::{estimate, pressed_keys};
use crate::domain::Password;

/// The shortest local part that a password may not contain; shorter ones occur in words by chance.
const SHORTEST_LOCAL_PART: usize = 4;

/// What is asked of a new password beyond its length.
#[derive(Clone, Debug)]
pub struct PasswordPolicy {
    /// The lowest acceptable estimate, 0 (ask for none) to 4.
    pub min_strength: u8,
    /// Passwords known from breaches.
    pub breached: Option<BreachedPasswords>,
    /// What the service is called: the first password that comes to everybody's mind.
    pub service_name: String,
}

/// Whom a password is for; it must not be guessable from that.
#[derive(Clone, Debug, Default)]
pub struct PasswordContext {
    /// The canonical address.
    pub email: String,
    /// The display name, if there is one.
    pub display_name: Option<String>,
}

impl PasswordPolicy {
    /// Judges a password. It can take a tenth of a second and read a file: it belongs in the hashing pool.
    ///
    /// Every cheap reason is named; the estimator is asked only where there is none.
    ///
    /// # Errors
    /// The inner result is the verdict. The outer one fails where the file of breached passwords can't be
    /// searched: a password that wasn't checked isn't accepted.
    pub fn judge(
        &self,
        password: &Password,
        context: &PasswordContext,
    ) -> Result<Result<(), Vec<Weakness>>, BreachedFileFault> {
        let lower_case = password.expose().to_lowercase();
        let mut weaknesses = Vec::new();
        let keys_are_common = || pressed_keys(&lower_case).is_some_and(|keys| is_common(&keys));
        if is_common(&lower_case) || keys_are_common() {
            weaknesses.push(Weakness::plain(WeaknessKind::TooCommon));
        }
        if contains_email(&lower_case, &context.email) {
            weaknesses.push(Weakness::plain(WeaknessKind::ContainsEmail));
        }
        if let Some(breached) = &self.breached
            && breached.contains(password)?
        {
            weaknesses.push(Weakness::plain(WeaknessKind::Breached));
        }
        if weaknesses.is_empty() {
            weaknesses.extend(self.too_guessable(password, context));
        }
        Ok(if weaknesses.is_empty() {
            Ok(())
        } else {
            Err(weaknesses)
        })
    }

    fn too_guessable(&self, password: &Password, context: &PasswordContext) -> Option<Weakness> {
        if self.min_strength == 0 {
            return None;
        }
        let display_name = context.display_name.as_deref().unwrap_or_default();
        // The shorter texts first: the list of words is capped.
        let known = [self.service_name.as_str(), context.email.as_str(), display_name];
        let estimate = estimate(password.expose(), &known, self.min_strength);
        (estimate.score < self.min_strength).then_some(Weakness {
            kind: WeaknessKind::TooGuessable,
            hints: estimate.hints,
        })
    }
}

fn contains_email(lower_case: &str, email: &str) -> bool {
    let email = email.to_lowercase();
    let local_part = email.split('@').next().unwrap_or_default();
    let contains = |text: &str| text.chars().count() >= SHORTEST_LOCAL_PART && lower_case.contains(text);
    contains(&email) || contains(local_part)
}

/// Why a password is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Weakness {
    /// The kind of reason.
    pub kind: WeaknessKind,
    /// How to choose a better one, in sentences; often none.
    pub hints: Vec<String>,
}

impl Weakness {
    fn plain(kind: WeaknessKind) -> Self {
        Self {
            kind,
            hints: Vec::new(),
        }
    }

    /// The machine-readable code of the reason.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self.kind {
            WeaknessKind::TooCommon => "too_common",
            WeaknessKind::ContainsEmail => "contains_email",
            WeaknessKind::TooGuessable => "too_guessable",
            WeaknessKind::Breached => "breached",
        }
    }

    /// The reason and the hints, for a person.
    #[must_use]
    pub fn detail(&self) -> String {
        let reason = match self.kind {
            WeaknessKind::TooCommon => "must not be one of the most common passwords",
            WeaknessKind::ContainsEmail => "must not contain the e-mail address or the part before its @",
            WeaknessKind::TooGuessable => "is too easy to guess",
            WeaknessKind::Breached => "is known from a data breach elsewhere",
        };
        if self.hints.is_empty() {
            reason.to_owned()
        } else {
            format!("{reason}: {}", self.hints.join(" "))
        }
    }
}

/// The kinds of reasons to refuse a password.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WeaknessKind {
    /// It is on the embedded list, as it is or as the keys pressed for it.
    TooCommon,
    /// The account's address, or the part before the `@`, is in it.
    ContainsEmail,
    /// The estimator gives it fewer points than asked for.
    TooGuessable,
    /// It is in the file of breached passwords.
    Breached,
}
