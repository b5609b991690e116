//! Hashes that the systems themselves have published, with the passwords that they belong to.
//!
//! What the libraries of a registry can't make is held against these: ASP.NET Core Identity's blobs with SHA-1 and
//! SHA-512, and what Keycloak itself has written. They are those of
//!
//! - `dotnet/aspnetcore`, `src/Identity/test/Identity.Test/PasswordHasherTest.cs` (commit `03741a0a`);
//! - `keycloak/keycloak`, the user `admin` of `migration-test/migration-realm-24.0.4.json` (commit `02c8ca0a`);
//! - `strimzi/strimzi-kafka-oauth`, the user `alice` of `kafka-authz-realm.json`, exported by Keycloak.
//!
//! Keycloak keeps algorithm, iterations, salt and bytes of a hash apart; the text here is what is made of them.

use super::super::super::stored::StoredScheme;
use super::super::stored;
use super::{matches, verify};
use crate::domain::PasswordAttempt;

/// Whose, the password, what an administrator sees of it, and the hash.
const PUBLISHED: [(&str, &str, &str, &str); 7] = [
    (
        "aspnetcore",
        "my password",
        "pbkdf2-sha256 i=10000",
        "AQAAAAEAACcQAAAAEAABAgMEBQYHCAkKCwwNDg+yWU7rLgUwPZb1Itsmra7cbxw2EFpwpVFIEtP+JIuUEw==",
    ),
    (
        "aspnetcore",
        "my password",
        "pbkdf2-sha1 i=250",
        "AQAAAAAAAAD6AAAAEAhftMyfTJylOlZT+eEotFXd1elee8ih5WsjXaR3PA9M",
    ),
    (
        "aspnetcore",
        "my password",
        "pbkdf2-sha256 i=250000",
        "AQAAAAEAA9CQAAAAIESkQuj2Du8Y+kbc5lcN/W/3NiAZFEm11P27nrSN5/tId+bR1SwV8CO1Jd72r4C08OLvplNlCDc3oQZ8efcW+jQ=",
    ),
    (
        "aspnetcore",
        "my password",
        "pbkdf2-sha512 i=50",
        "AQAAAAIAAAAyAAAAEOMwvh3+FZxqkdMBz2ekgGhwQ4B6pZWND6zgESBuWiHw",
    ),
    (
        "aspnetcore",
        "my password",
        "pbkdf2-sha512 i=250",
        "AQAAAAIAAAD6AAAAIJbVi5wbMR+htSfFp8fTw8N8GOS/Sje+S/4YZcgBfU7EQuqv4OkVYmc4VJl9AGZzmRTxSkP7LtVi9IWyUxX8IAAfZ8v+\
         ZfhjCcudtC1YERSqE1OEdXLW9VukPuJWBBjLuw==",
    ),
    (
        "keycloak",
        "admin",
        "pbkdf2-sha256 i=27500",
        "$pbkdf2-sha256$i=27500,l=64$WQWgqINSHrX0yk5oIl4xpw\
         $OnsOPGVN5ku0lAuW+6IUMhiYyre5C9itUlMBH9xtQgWYYqeYG3kiRkWrdBVWfvv1t5F4r7FnNLqQzZ7R5Fna2w",
    ),
    (
        "strimzi",
        "alice-password",
        "pbkdf2-sha256 i=27500",
        "$pbkdf2-sha256$i=27500,l=64$EPgscX9CQz7UnuZDNZxtMw\
         $KqABIiReBuRWbP4pBct3W067pNvYzeN7ILBV+8vT8nuF5cgYs2fdl2QikJT/7bGTW/PBXg6CYLwJQFYrBK9MWg",
    ),
];

#[test]
fn published_hashes_verify_with_their_passwords_and_no_others() {
    for (whose, password, scheme, hash) in PUBLISHED {
        assert_eq!(
            StoredScheme::of(&stored(hash)).unwrap().to_string(),
            scheme,
            "{whose}"
        );
        assert!(matches(hash, password), "{whose}: {hash}");
        for wrong in ["My password", "my password ", "Admin", "alice", ""] {
            assert!(!matches(hash, wrong), "{whose}: {hash}");
        }
    }
}

/// What `PasswordHasherTest` expects to fail with the right password: a changed subkey, one that is cut, one with more
/// behind it.
#[test]
fn what_asp_net_lets_nobody_in_with_lets_nobody_in_here() {
    for hash in [
        "AQAAAAAAAAD6AAAAEAhftMyfTJyAAAAAAAAAAAAAAAAAAAih5WsjXaR3PA9M",
        "AQAAAAIAAAAyAAAAEOMwvh3+FZxqkdMBz2ekgGhwQ4A=",
        "AQAAAAIAAAAyAAAAEOMwvh3+FZxqkdMBz2ekgGhwQ4B6pZWND6zgESBuWiHwAAAAAAAAAAAA",
    ] {
        let verified = verify(
            &stored(hash),
            &PasswordAttempt::parse("my password"),
            &mut super::memory(),
        );
        assert!(!matches!(verified, Ok(true)), "{hash}");
    }
}
