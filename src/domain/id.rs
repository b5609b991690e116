//! Identifiers, a type for each kind, so that one can't stand in for another.

use std::fmt;

use uuid::Uuid;

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(Uuid);

        impl $name {
            /// Wraps a UUID that was made or stored as this kind of identifier.
            #[must_use]
            pub const fn new(id: Uuid) -> Self {
                Self(id)
            }

            /// The plain UUID, for the store and the wire.
            #[must_use]
            pub const fn get(self) -> Uuid {
                self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.hyphenated().fmt(f)
            }
        }
    };
}

id!(
    /// A user account. A `UUIDv7` (RFC 9562 §5.7): unguessable for a client, and in order of registration.
    UserId
);
id!(
    /// A session: one sign-in, from `/login` to its end. The `sid` claim of access tokens.
    SessionId
);
id!(
    /// A registered client: another service that may ask about tokens.
    ClientId
);

id!(
    /// A mail in the outbox, and the left half of its `Message-ID`.
    MailId
);

impl ClientId {
    /// Reads what its `Display` wrote. A client has one name only: none of the other spellings of a UUID is taken.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let id = Self(Uuid::try_parse(text).ok()?);
        (id.to_string() == text).then_some(id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_id_of_a_client_has_one_spelling() {
        let text = "0190a5d0-3c5e-7b2f-8a41-0d6f2b7c9e13";
        assert_eq!(ClientId::parse(text).unwrap().to_string(), text);
        for other in [
            String::new(),
            "roster".to_owned(),
            text.to_uppercase(),
            text.replace('-', ""),
            format!("{{{text}}}"),
            format!("urn:uuid:{text}"),
            format!(" {text}"),
            text.replace("13", "1"),
        ] {
            assert_eq!(ClientId::parse(&other), None, "{other:?}");
        }
    }
}
