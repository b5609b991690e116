//! The rules of the house, read from the source: which room may use which, and how files are laid out.
//!
//! The table [`ROOMS`] is the one of `ARCHITECTURE.md`. What it allows besides, it allows by name and with a reason,
//! and an exception that nobody needs any more fails as well.

#![expect(
    clippy::unwrap_used,
    reason = "all of this is test code: what must hold is stated, and fails loudly where it doesn't"
)]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// A part of the source, and what it may see of the rest.
struct Room {
    name: &'static str,
    /// Its files, below `src`: a `*` is any one folder or file, a `**` everything below.
    files: &'static [&'static str],
    /// The rooms that it may use, in the words of [`Source::target`].
    may_use: &'static [&'static str],
    /// What it must not see of what others have written: crates, and the word `async`.
    must_not_see: &'static [&'static str],
    /// What it uses besides: files, what they use there, and why that is meant.
    besides: &'static [(&'static str, &'static str, &'static str)],
}

const WEB: [&str; 4] = ["actix_web", "actix_cors", "actix_web_httpauth", "utoipa"];

const ROOMS: &[Room] = &[
    Room {
        name: "domain",
        files: &["domain/**"],
        may_use: &["domain"],
        must_not_see: &["web", "sql", "tokio", "async"],
        besides: &[],
    },
    Room {
        name: "policy",
        files: &["policy.rs", "policy/**"],
        may_use: &["domain"],
        must_not_see: &["web", "sql", "tokio", "async"],
        besides: &[(
            "**",
            "error",
            "a rule says no with the error that everybody fails with; it knows no HTTP",
        )],
    },
    Room {
        name: "security",
        files: &["security/**"],
        may_use: &["security", "domain", "clock"],
        must_not_see: &["web", "sql"],
        besides: &[],
    },
    Room {
        name: "json",
        files: &["json.rs"],
        may_use: &[],
        must_not_see: &["web", "sql", "tokio", "async"],
        besides: &[],
    },
    Room {
        name: "store",
        files: &["*/store.rs", "*/store/**"],
        may_use: &["db", "domain", "own::model", "own::store"],
        must_not_see: &["web"],
        besides: &[
            (
                "auth/**",
                "door of users",
                "the one query behind every private request reads a session together with its user",
            ),
            (
                "auth/**",
                "error",
                "the hot query runs on connections of its own, whose door already speaks of time-outs",
            ),
            (
                "auth/**",
                "security",
                "what it looks for is what a verified token says, and nothing else may be looked for",
            ),
            (
                "sessions/**",
                "security",
                "what is stored of a refresh token is a type of the security room, and can't be made from anything else",
            ),
            (
                "clients/**",
                "security",
                "what is stored of a client's secret is a type of the security room",
            ),
            (
                "keys/**",
                "security",
                "a stored key is a type of the security room: its private half is sealed and can't be read here",
            ),
            (
                "mail/**",
                "security",
                "what is stored of an address that was written to is a type of the security room",
            ),
            (
                "verification/**",
                "security",
                "what is stored of a mailed code is a type of the security room",
            ),
        ],
    },
    Room {
        name: "service",
        files: &["*/service.rs", "*/service/**"],
        may_use: &[
            "app",
            "domain",
            "policy",
            "security",
            "own::service",
            "own::store",
            "own::model",
            "door",
        ],
        must_not_see: &["web", "sql"],
        besides: &[
            ("**", "error", "what everybody fails with"),
            (
                "**",
                "db",
                "the service owns the transaction, which begins and ends in sight",
            ),
            ("**", "config", "a setting is read where it decides something"),
            (
                "auth/**",
                "service of keys",
                "a token under an unknown key makes the key store look again, and to look is to decide",
            ),
            (
                "oauth/**",
                "service of clients",
                "a resource server says who it is before it is told anything",
            ),
            (
                "sessions/**",
                "clock",
                "a token is spent at the time that it is under the lock, which a request has to wait for",
            ),
            (
                "keys/**",
                "clock",
                "keys are made before there is an application state to hold the clock",
            ),
            (
                "keys/**",
                "sea_orm::DbErr",
                "which unique key was violated is what tells a conflict from a fault",
            ),
            (
                "users/**",
                "sea_orm::DbErr",
                "which unique key was violated is what tells a conflict from a fault",
            ),
            (
                "verification/**",
                "sea_orm::DbErr",
                "which unique key was violated is what tells an address that is taken from a fault",
            ),
            (
                "transfer/**",
                "clock",
                "an account that comes over gets an id of the time at which it was registered",
            ),
            (
                "mail/**",
                "mailer",
                "what is rendered here is handed to the seam that everything leaves through",
            ),
        ],
    },
    Room {
        name: "api",
        files: &["*/api.rs", "*/api/**", "operations/docs.rs", "auth/bearer.rs"],
        may_use: &["http", "domain", "own::api", "own::service", "own::model"],
        must_not_see: &["sql"],
        besides: &[
            ("**", "app", "the state is handed on to services"),
            ("**", "error", "what everybody fails with"),
            ("**", "config", "limits of what may be sent are settings"),
            (
                "**",
                "door of auth",
                "whoever is signed in is an argument of the handler",
            ),
            (
                "keys/**",
                "security",
                "the metadata names the scope that tokens have",
            ),
            (
                "oauth/**",
                "security",
                "answers name the client and the scope that tokens have",
            ),
            (
                "verification/**",
                "api of users",
                "an address, a password and a user are read and told as they are everywhere",
            ),
            (
                "verification/**",
                "door of mail",
                "which mail is asked for is all that a request says",
            ),
            (
                "transfer/**",
                "api of audit",
                "an event is told as it is everywhere",
            ),
            (
                "transfer/**",
                "api of sessions",
                "a session is told as it is everywhere",
            ),
            (
                "operations/**",
                "db",
                "readiness asks for pending migrations, and there is nothing to decide about it",
            ),
        ],
    },
    Room {
        name: "transfer",
        files: &["transfer/model.rs", "transfer/sources/**"],
        may_use: &["domain", "json", "own::model", "own::door"],
        must_not_see: &["web", "sql", "tokio", "async"],
        besides: &[(
            "transfer/sources/**",
            "security",
            "whether somebody could sign in with a foreign hash is asked before it is taken",
        )],
    },
    Room {
        name: "http",
        files: &["http/**"],
        may_use: &["http", "error", "domain", "json", "app"],
        must_not_see: &["sql"],
        besides: &[
            (
                "**",
                "config",
                "limits of a request and trusted proxies are settings",
            ),
            (
                "**",
                "clock",
                "the id of a request is made by chance, which is an argument",
            ),
        ],
    },
    Room {
        name: "cli",
        files: &["cli/**"],
        may_use: &["cli", "config", "app", "service", "routes"],
        must_not_see: &["web", "sql"],
        besides: &[
            (
                "**",
                "startup",
                "what a command needs is opened as the server opens it",
            ),
            (
                "**",
                "domain",
                "arguments become values of the domain, as at any door",
            ),
            (
                "**",
                "clock",
                "a command is where the system's clock and chance come in",
            ),
            ("**", "error", "what services fail with is told on the terminal"),
            ("**", "door of audit", "what a service returns is printed"),
            ("**", "door of clients", "what a service returns is printed"),
            ("**", "door of keys", "what a service returns is printed"),
            ("**", "door of mail", "what a service returns is printed"),
            ("**", "door of schemes", "what a service returns is printed"),
            (
                "**",
                "door of transfer",
                "what a service returns is printed, and an argument names a source",
            ),
            ("**", "door of users", "what a service returns is printed"),
            (
                "cli/users/**",
                "api of users",
                "as JSON an account is told as it is everywhere",
            ),
            (
                "cli/users/sessions.rs",
                "api of sessions",
                "a session is told as it is everywhere",
            ),
            (
                "cli/users/personal_data.rs",
                "api of transfer",
                "what an operator hands over is the document that the person would get",
            ),
            (
                "cli/audit_list.rs",
                "api of audit",
                "an event is told as it is everywhere",
            ),
            (
                "cli/users/values.rs",
                "json",
                "JSON in an argument is read as strictly as in a request",
            ),
            (
                "cli/dry_run.rs",
                "db",
                "a dry run works on a handle that takes everything back",
            ),
            ("cli/mod.rs", "telemetry", "a command may log"),
            (
                "cli/keys.rs",
                "security",
                "what opens private halves is made from the secret here, and handed on unseen",
            ),
            ("cli/migrate.rs", "db", "the schema is what this command is about"),
            ("cli/serve.rs", "telemetry", "the server logs"),
            (
                "cli/serve.rs",
                "door of limits",
                "house is kept for as long as the server runs",
            ),
            (
                "cli/serve.rs",
                "door of sessions",
                "house is kept for as long as the server runs",
            ),
            (
                "cli/serve.rs",
                "door of verification",
                "house is kept for as long as the server runs",
            ),
            ("cli/serve.rs", "db", "on this level the server is put together"),
            (
                "cli/serve.rs",
                "server",
                "on this level the server is put together",
            ),
            (
                "cli/serve.rs",
                "actix_web::dev::ServerHandle",
                "signals stop the server",
            ),
        ],
    },
];

/// What the words in `must_not_see` stand for.
fn crates(word: &'static str) -> Vec<&'static str> {
    match word {
        "web" => WEB.to_vec(),
        "sql" => vec!["sea_orm", "sqlx", "rusqlite", "entity"],
        other => vec![other],
    }
}

const FEATURES: [&str; 13] = [
    "audit",
    "auth",
    "clients",
    "keys",
    "limits",
    "mail",
    "oauth",
    "operations",
    "schemes",
    "sessions",
    "transfer",
    "users",
    "verification",
];
const LAYERS: [&str; 6] = ["api", "bearer", "docs", "model", "service", "store"];

/// How many lines a file may have, its tests left out.
const MAX_LINES: usize = 400;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The Rust files in a folder, at any depth.
fn rust_files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(rust_files(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
    found.sort();
    found
}

/// One file.
struct Source {
    /// Below `src`, or below the root of the repository.
    path: String,
    text: String,
    /// Without comments, literals and tests; line ends are kept.
    code: String,
}

impl Source {
    fn read(file: &Path, below: &Path) -> Self {
        let text = fs::read_to_string(file).unwrap();
        Self {
            path: file.strip_prefix(below).unwrap().to_str().unwrap().to_owned(),
            code: without_tests(&without_comments_and_literals(&text)),
            text,
        }
    }

    /// The sources of the program, without the files that are tests as a whole.
    fn all() -> Vec<Self> {
        let src = root().join("src");
        rust_files(&src)
            .iter()
            .map(|file| Self::read(file, &src))
            .filter(|source| !source.path.split('/').any(|part| part == "tests"))
            .collect()
    }

    /// The module that the file is.
    fn module(&self) -> Vec<String> {
        let path = self.path.trim_end_matches(".rs");
        let mut parts: Vec<String> = path.split('/').map(str::to_owned).collect();
        if matches!(parts.last().map(String::as_str), Some("mod" | "lib" | "main")) {
            parts.pop();
        }
        parts
    }

    /// Every path that the code names, from the crate's root or from another crate on.
    fn paths(&self) -> Vec<Vec<String>> {
        let tokens = tokens(&self.code);
        let children: BTreeSet<&str> = tokens
            .windows(2)
            .filter(|pair| pair.first().is_some_and(|word| *word == "mod"))
            .filter_map(|pair| pair.get(1).copied())
            .collect();
        let (mut named, mut imported) = (Vec::new(), Vec::new());
        let mut at = 0;
        while let Some(token) = tokens.get(at) {
            if *token == "use" {
                at = use_tree(&tokens, at + 1, &[], &mut imported);
            } else if is_name(token) && tokens.get(at + 1) == Some(&"::") {
                let mut path = vec![(*token).to_owned()];
                while tokens.get(at + 1) == Some(&"::")
                    && tokens.get(at + 2).is_some_and(|next| is_name(next))
                {
                    at += 2;
                    path.push(tokens.get(at).copied().unwrap_or_default().to_owned());
                }
                named.push(path);
                at += 1;
            } else {
                at += 1;
            }
        }
        // What follows an imported name goes on where that leads to.
        for path in &mut named {
            let import = imported.iter().find(|(name, _)| path.first() == Some(name));
            if let Some((_, leads_to)) = import {
                path.splice(..1, leads_to.iter().cloned());
            }
        }
        let module = self.module();
        let imported = imported.into_iter().map(|(_, path)| path);
        imported
            .chain(named)
            .map(|path| {
                let mut inside = module.clone();
                let mut rest = path.as_slice();
                let Some(first) = rest.first() else { return path };
                match first.as_str() {
                    "crate" | "$crate" => inside.clear(),
                    "self" => {}
                    "super" => {
                        while rest.first().is_some_and(|part| part == "super") {
                            inside.pop();
                            rest = rest.get(1..).unwrap_or_default();
                        }
                        return [vec!["crate".to_owned()], inside, rest.to_vec()].concat();
                    }
                    child if children.contains(child) => {
                        return [vec!["crate".to_owned()], inside, rest.to_vec()].concat();
                    }
                    _ => return path,
                }
                let rest = rest.get(1..).unwrap_or_default();
                [vec!["crate".to_owned()], inside, rest.to_vec()].concat()
            })
            .collect()
    }

    /// What a path leads to, in the words of the table: a room; `own::LAYER` and `LAYER of FEATURE` for the layers of
    /// features; `door of FEATURE` for what its `mod.rs` hands out. None for what is no room.
    fn target(&self, path: &[String]) -> Option<String> {
        let [first, room, rest @ ..] = path else {
            return None;
        };
        if first != "crate" {
            return None;
        }
        let module = self.module();
        if !FEATURES.contains(&room.as_str()) {
            return Some(room.clone());
        }
        let is_own = module.first() == Some(room);
        let layer = rest.first().filter(|part| LAYERS.contains(&part.as_str()));
        Some(match (is_own, layer) {
            (true, Some(layer)) => format!("own::{layer}"),
            (true, None) => "own::door".to_owned(),
            (false, Some(layer)) => format!("{layer} of {room}"),
            (false, None) => format!("door of {room}"),
        })
    }

    fn is_in(&self, room: &Room) -> bool {
        room.files.iter().any(|pattern| is_like(&self.path, pattern))
    }
}

fn is_like(path: &str, pattern: &str) -> bool {
    let (mut path, mut pattern) = (path.split('/'), pattern.split('/'));
    loop {
        match (path.next(), pattern.next()) {
            (None, None) | (Some(_), Some("**")) => return true,
            (Some(part), Some(wanted)) if wanted == "*" || wanted == part => {}
            _ => return false,
        }
    }
}

/// Reads one tree of a `use` into names and what they lead to, and gives the place behind it.
fn use_tree(
    tokens: &[&str],
    mut at: usize,
    before: &[String],
    into: &mut Vec<(String, Vec<String>)>,
) -> usize {
    let mut path = before.to_vec();
    let mut renamed = None;
    while let Some(token) = tokens.get(at) {
        at += 1;
        match *token {
            "::" => {}
            "{" => {
                while tokens.get(at).is_some_and(|token| *token != "}") {
                    at = use_tree(tokens, at, &path, into);
                    if tokens.get(at) == Some(&",") {
                        at += 1;
                    }
                }
                return at + 1;
            }
            "as" => {
                renamed = tokens.get(at).map(|name| (*name).to_owned());
                at += 1;
            }
            ";" | "," | "}" => {
                at -= usize::from(*token != ";");
                break;
            }
            name => path.push(name.to_owned()),
        }
    }
    if path.last().is_some_and(|part| part == "self") && path.len() > 1 {
        path.pop();
    }
    let name = renamed.or_else(|| path.last().cloned());
    into.extend(name.map(|name| (name, path)));
    at
}

fn is_name(token: &str) -> bool {
    token.starts_with(|c: char| c.is_alphabetic() || c == '_' || c == '$')
}

/// Names, `::` and single other characters.
fn tokens(code: &str) -> Vec<&str> {
    let mut found = Vec::new();
    let mut rest = code;
    while let Some(c) = rest.chars().next() {
        let length = if c.is_alphanumeric() || c == '_' || c == '$' {
            rest.find(|c: char| !(c.is_alphanumeric() || c == '_' || c == '$'))
                .unwrap_or(rest.len())
        } else if rest.starts_with("::") {
            2
        } else {
            c.len_utf8()
        };
        let (token, after) = rest.split_at(length);
        if !c.is_whitespace() {
            found.push(token);
        }
        rest = after;
    }
    found
}

/// Blanks out what isn't code, and keeps the line ends.
fn without_comments_and_literals(text: &str) -> String {
    let mut code = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let length = if rest.starts_with("//") {
            rest.find('\n').unwrap_or(rest.len())
        } else if rest.starts_with("/*") {
            rest.find("*/").map_or(rest.len(), |end| end + 2)
        } else if let Some(length) = literal(rest, code.chars().next_back()) {
            length
        } else {
            code.push(c);
            rest = rest.get(c.len_utf8()..).unwrap_or_default();
            continue;
        };
        let (gone, after) = rest.split_at(length);
        code.push(' ');
        code.extend(gone.chars().filter(|c| *c == '\n'));
        rest = after;
    }
    code
}

/// The length of the text, byte string, raw string or character that begins here, if one does.
fn literal(rest: &str, before: Option<char>) -> Option<usize> {
    if before.is_some_and(|c| c.is_alphanumeric() || c == '_') {
        return None;
    }
    let unprefixed = rest.trim_start_matches(['b', 'c', 'r']);
    let prefix = rest.len() - unprefixed.len();
    let hashes = unprefixed.len() - unprefixed.trim_start_matches('#').len();
    let is_raw = rest.get(..prefix).is_some_and(|letters| letters.contains('r'));
    if is_raw && unprefixed.get(hashes..).is_some_and(|text| text.starts_with('"')) {
        let end = format!("\"{}", "#".repeat(hashes));
        let inner = unprefixed.get(hashes + 1..)?;
        return Some(prefix + hashes + 1 + inner.find(&end)? + end.len());
    }
    if unprefixed.starts_with('"') && prefix <= 1 {
        return quoted(unprefixed, '"').map(|length| prefix + length);
    }
    // A lifetime has no closing quote right behind its first character.
    let inner = unprefixed.strip_prefix('\'').filter(|_| prefix <= 1)?;
    let first = inner.chars().next()?;
    let is_character = first == '\\' || inner.get(first.len_utf8()..)?.starts_with('\'');
    is_character.then(|| quoted(unprefixed, '\'').map(|length| prefix + length))?
}

fn quoted(text: &str, quote: char) -> Option<usize> {
    let mut is_escaped = false;
    for (at, c) in text.char_indices().skip(1) {
        if is_escaped {
            is_escaped = false;
        } else if c == '\\' {
            is_escaped = true;
        } else if c == quote {
            return Some(at + c.len_utf8());
        }
    }
    None
}

/// Leaves away modules that are only compiled for tests.
fn without_tests(code: &str) -> String {
    let mut kept = String::with_capacity(code.len());
    let mut rest = code;
    while let Some(start) = rest.find("#[cfg(test)]") {
        let (before, test) = rest.split_at(start);
        kept.push_str(before);
        let end = match (test.find(';'), test.find('{')) {
            (Some(semicolon), Some(brace)) if semicolon < brace => semicolon + 1,
            (Some(semicolon), None) => semicolon + 1,
            (_, Some(brace)) => closing(test, brace),
            (None, None) => test.len(),
        };
        rest = test.get(end..).unwrap_or_default();
    }
    kept.push_str(rest);
    kept
}

fn closing(code: &str, brace: usize) -> usize {
    let mut depth = 0_usize;
    for (at, c) in code.char_indices().skip(brace) {
        match c {
            '{' => depth += 1,
            '}' if depth == 1 => return at + 1,
            '}' => depth -= 1,
            _ => {}
        }
    }
    code.len()
}

/// The lines that a person reads as the file's own: everything but the tests.
fn own_lines(source: &Source) -> usize {
    let tests = source
        .text
        .lines()
        .position(|line| line == "#[cfg(test)]")
        .filter(|start| {
            source
                .text
                .lines()
                .nth(start + 1)
                .is_some_and(|line| line.starts_with("mod tests {"))
        });
    tests.unwrap_or_else(|| source.text.lines().count())
}

#[test]
fn every_room_uses_only_what_it_may() {
    let sources = Source::all();
    let mut faults = Vec::new();
    for room in ROOMS {
        let mut needed = BTreeSet::new();
        for source in sources.iter().filter(|source| source.is_in(room)) {
            for used in used_against_the_table(room, source) {
                let exception = room
                    .besides
                    .iter()
                    .position(|(files, what, _)| is_like(&source.path, files) && *what == used);
                match exception {
                    Some(exception) => {
                        needed.insert(exception);
                    }
                    None => faults.push(format!("{}: src/{} uses {used}", room.name, source.path)),
                }
            }
        }
        for (index, (files, what, _)) in room.besides.iter().enumerate() {
            if !needed.contains(&index) {
                faults.push(format!("{}: nobody needs {what} in {files} any more", room.name));
            }
        }
    }
    assert!(faults.is_empty(), "\n{}\n", faults.join("\n"));
}

/// What a file uses that isn't in its room's row: rooms of the house, and paths of crates.
fn used_against_the_table(room: &Room, source: &Source) -> BTreeSet<String> {
    let unseen: Vec<&str> = room.must_not_see.iter().flat_map(|word| crates(word)).collect();
    let mut used = BTreeSet::new();
    for path in source.paths() {
        if let Some(target) = source.target(&path) {
            let kind = target.split(" of ").next().unwrap_or_default();
            let may = target == "own::door"
                || room.may_use.contains(&target.as_str())
                || room.may_use.contains(&kind);
            if !may {
                used.insert(target);
            }
        } else if path.first().is_some_and(|first| unseen.contains(&first.as_str())) {
            used.insert(path.join("::"));
        }
    }
    if unseen.contains(&"async") && tokens(&source.code).contains(&"async") {
        used.insert("async".to_owned());
    }
    used
}

#[test]
fn every_file_of_a_feature_is_in_a_room() {
    for source in Source::all() {
        let first = source.path.split('/').next().unwrap_or_default();
        let is_plain = ["mod.rs", "model.rs"]
            .iter()
            .any(|name| source.path.ends_with(&format!("/{name}")))
            // A model that was split along what it is about.
            || source.path.contains("/model/");
        let is_in_room = ROOMS.iter().any(|room| source.is_in(room));
        assert!(
            !FEATURES.contains(&first) || is_plain || is_in_room,
            "src/{} is in no room of the table",
            source.path
        );
    }
}

#[test]
fn every_folder_with_layers_is_a_feature() {
    let src = root().join("src");
    for folder in fs::read_dir(&src).unwrap().map(|entry| entry.unwrap().path()) {
        let name = folder.file_name().unwrap().to_str().unwrap().to_owned();
        let has_layers = ["api", "service", "store"]
            .iter()
            .any(|layer| folder.join(format!("{layer}.rs")).exists() || folder.join(layer).exists());
        assert_eq!(has_layers, FEATURES.contains(&name.as_str()), "src/{name}");
    }
}

#[test]
fn no_file_grows_past_what_one_can_read_at_a_sitting() {
    let long: Vec<String> = Source::all()
        .iter()
        .map(|source| (own_lines(source), &source.path))
        .filter(|(lines, _)| *lines > MAX_LINES)
        .map(|(lines, path)| format!("src/{path} has {lines} lines: split it along operations"))
        .collect();
    assert!(long.is_empty(), "\n{}\n", long.join("\n"));
}

#[test]
fn lints_are_silenced_with_expect_or_not_at_all() {
    let folders = ["src", "migration", "entity", "tests"].map(|folder| root().join(folder));
    for file in folders.iter().flat_map(|folder| rust_files(folder)) {
        let source = Source::read(&file, root());
        let silences = tokens(&without_comments_and_literals(&source.text))
            .windows(3)
            .any(|window| matches!(window, ["#" | "!", "[", "allow"]));
        assert!(!silences, "#[allow] in {}", source.path);
    }
}

#[test]
fn a_module_with_children_has_its_door_in_its_folder() {
    for folder in ["src", "tests", "migration/src", "entity/src"].map(|folder| root().join(folder)) {
        for file in rust_files(&folder) {
            let beside = file.with_extension("");
            assert!(
                !beside.is_dir(),
                "{} stands beside its folder: make it {}/mod.rs",
                file.display(),
                beside.display()
            );
        }
    }
}

#[test]
fn migrations_never_name_the_entities_that_are_made_from_them() {
    let folder = root().join("migration");
    for file in rust_files(&folder) {
        let source = Source::read(&file, &folder);
        let names_it = source
            .paths()
            .iter()
            .any(|path| path.first().is_some_and(|first| first == "entity"));
        assert!(!names_it, "migration/{} names entity", source.path);
    }
    let manifest = fs::read_to_string(folder.join("Cargo.toml")).unwrap();
    assert!(
        !manifest.lines().any(|line| line.starts_with("entity")),
        "migration depends on entity"
    );
}

#[test]
fn entities_say_that_they_are_generated() {
    let files = rust_files(&root().join("entity/src"));
    assert!(!files.is_empty());
    for file in files {
        let text = fs::read_to_string(&file).unwrap();
        let first = text.lines().next().unwrap_or_default();
        assert!(first.contains("@generated"), "{}: {first}", file.display());
    }
}

#[test]
fn only_stores_name_entities() {
    for source in Source::all() {
        let names_them = source
            .paths()
            .iter()
            .any(|path| path.first().is_some_and(|first| first == "entity"));
        let is_store = is_like(&source.path, "*/store.rs") || is_like(&source.path, "*/store/**");
        assert!(is_store || !names_them, "src/{} names entity", source.path);
    }
}

#[test]
fn nothing_is_left_to_be_done_or_put_into_a_drawer_for_everything() {
    let folders = ["src", "migration", "entity", "tests"].map(|folder| root().join(folder));
    for file in folders.iter().flat_map(|folder| rust_files(folder)) {
        let source = Source::read(&file, root());
        let words = tokens(&source.code);
        for unfinished in ["todo", "unimplemented", "dbg"] {
            let is_called = words.windows(2).any(|pair| pair == [unfinished, "!"]);
            assert!(!is_called, "{unfinished}! in {}", source.path);
        }
        for drawer in ["helper", "helpers", "util", "utils", "misc", "common"] {
            let is_one = source
                .path
                .split('/')
                .any(|part| part.trim_end_matches(".rs") == drawer);
            // The list of common passwords is about common passwords.
            let is_known = source.path == "src/security/passwords/common.rs";
            assert!(
                !is_one || is_known,
                "{} says nothing about what is in it",
                source.path
            );
        }
    }
}

/// The modules that a file declares, as the files that they may be in.
fn declared(file: &Path) -> Vec<PathBuf> {
    let code = without_comments_and_literals(&fs::read_to_string(file).unwrap());
    let folder = file.parent().unwrap();
    let words = tokens(&code);
    let mut found: Vec<PathBuf> = words
        .windows(3)
        .filter_map(|window| match window {
            ["mod", name, ";"] => Some(*name),
            _ => None,
        })
        .flat_map(|name| {
            [
                folder.join(format!("{name}.rs")),
                folder.join(name).join("mod.rs"),
            ]
        })
        .collect();
    let text = fs::read_to_string(file).unwrap();
    for line in text.lines() {
        if let Some(path) = line
            .trim()
            .strip_prefix("#[path = \"")
            .and_then(|rest| rest.strip_suffix("\"]"))
        {
            found.push(folder.join(path).canonicalize().unwrap());
        }
    }
    found
}

#[test]
fn no_file_lies_about_that_no_module_declares() {
    let roots = [
        "src/lib.rs",
        "src/main.rs",
        "migration/src/lib.rs",
        "entity/src/lib.rs",
    ];
    let mut reached: BTreeSet<PathBuf> = roots.iter().map(|file| root().join(file)).collect();
    for entry in fs::read_dir(root().join("tests"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
    {
        // Cargo makes a test of each file there, and of each folder with a `main.rs`.
        if entry.extension().is_some_and(|extension| extension == "rs") {
            reached.insert(entry);
        } else if entry.join("main.rs").is_file() {
            reached.insert(entry.join("main.rs"));
        }
    }
    let mut unread: Vec<PathBuf> = reached.iter().cloned().collect();
    while let Some(file) = unread.pop() {
        for child in declared(&file) {
            if child.is_file() && reached.insert(child.clone()) {
                unread.push(child);
            }
        }
    }
    let folders = ["src", "tests", "migration/src", "entity/src"].map(|folder| root().join(folder));
    let forgotten: Vec<String> = folders
        .iter()
        .flat_map(|folder| rust_files(folder))
        .filter(|file| !reached.contains(file))
        .map(|file| file.display().to_string())
        .collect();
    assert!(forgotten.is_empty(), "compiled by nobody: {forgotten:?}");
}

#[test]
fn the_reader_of_these_rules_can_read() {
    let text = r##"
        use std::fmt::{self, Display}; // use crate::never::in_a_comment;
        use crate::users::{service, store::{self, Changes}};
        pub(crate) use super::neighbour as other;
        const TEXT: &str = "use crate::never::in_a_text; \" '";
        const RAW: &str = r#"crate::never"#;
        const QUOTE: char = '"';
        fn f<'a>(x: &'a str) -> crate::error::ApiError { sea_orm::DbErr::Custom(x.into()) }
        #[cfg(test)]
        mod tests { use crate::never::in_a_test; }
        fn g() { crate::after::all(); store::insert(); other::X }
    "##;
    let source = Source {
        path: "users/api.rs".to_owned(),
        code: without_tests(&without_comments_and_literals(text)),
        text: String::new(),
    };
    let found: Vec<String> = source.paths().iter().map(|path| path.join("::")).collect();
    let expected = [
        "std::fmt",
        "std::fmt::Display",
        "crate::users::service",
        "crate::users::store",
        "crate::users::store::Changes",
        "crate::users::neighbour",
        "crate::error::ApiError",
        "sea_orm::DbErr::Custom",
        "crate::after::all",
        "crate::users::store::insert",
        "crate::users::neighbour::X",
    ];
    assert_eq!(found, expected);
    let targets: BTreeSet<String> = source
        .paths()
        .iter()
        .filter_map(|path| source.target(path))
        .collect();
    let expected = ["after", "error", "own::door", "own::service", "own::store"];
    assert_eq!(targets, expected.map(str::to_owned).into());
}
