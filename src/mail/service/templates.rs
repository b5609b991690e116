//! The texts of mails: minijinja templates, built in and replaceable file by file.
//!
//! A mail has a template for its plain form and one for its HTML, in each language: `reset_password.de.txt` and
//! `reset_password.de.html`. The plain one begins with its subject. What a user has chosen, a name above all, isn't there to
//! be used: anybody can register anybody's address, and would have us send their words to a stranger.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use minijinja::syntax::SyntaxConfig;
use minijinja::value::Serde;
use minijinja::{Environment, UndefinedBehavior};
use serde::Serialize;

use super::super::model::MailKind;
use crate::verification;

/// The language where there is no text in the reader's own.
const DEFAULT_LANGUAGE: &str = "en";
const SUBJECT: &str = "Subject: ";

macro_rules! built_in {
    ($($name:literal),+ $(,)?) => {
        [
            ("layout.html", include_str!("../templates/layout.html")),
            $(
                (concat!($name, ".en.txt"), include_str!(concat!("../templates/", $name, ".en.txt"))),
                (concat!($name, ".en.html"), include_str!(concat!("../templates/", $name, ".en.html"))),
                (concat!($name, ".de.txt"), include_str!(concat!("../templates/", $name, ".de.txt"))),
                (concat!($name, ".de.html"), include_str!(concat!("../templates/", $name, ".de.html"))),
            )+
        ]
    };
}

const BUILT_IN: [(&str, &str); 49] = built_in!(
    "verify_email",
    "already_registered",
    "reset_password",
    "confirm_email",
    "invitation",
    "password_changed",
    "email_change_requested",
    "email_changed",
    "account_disabled",
    "account_enabled",
    "factor_added",
    "factor_removed",
);

/// What a template can tell.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Contents<'a> {
    /// What the service is called: the name in `mail.from`.
    pub service: &'a str,
    /// Where it is: `server.public_url`.
    pub url: &'a str,
    /// To whom the mail goes.
    pub email: &'a str,
    /// When it was caused.
    pub at: &'a str,
    /// The link, where there is a code.
    pub link: Option<&'a str>,
    /// The code to type, where there is one.
    pub code: Option<&'a str>,
    /// For how many minutes that is good.
    pub valid_minutes: i64,
    /// The name of a factor; empty where there is none.
    pub factor: &'a str,
}

impl Contents<'static> {
    /// Contents of a mail of this kind, to look at.
    #[must_use]
    pub const fn example(kind: MailKind) -> Self {
        Self {
            service: "Roster",
            url: "https://accounts.example.org",
            email: "ada@example.com",
            at: "2031-05-06 07:08 UTC",
            link: Some(
                "https://accounts.example.org/link?token=roster_ml_Jc3VYRwQ8v2JcJ4Vt2Yd0nKp2hM5sXb7eQfLrTzGkAo",
            ),
            code: Some("K7QM-2XWD"),
            valid_minutes: verification::lifetime(kind).num_minutes(),
            factor: "Authenticator app",
        }
    }
}

/// What became of a template.
#[derive(Clone, Debug)]
pub struct Rendered {
    /// One line.
    pub subject: String,
    /// The plain form.
    pub text: String,
    /// The form with a layout.
    pub html: String,
}

/// All texts.
#[derive(Debug)]
pub struct Templates {
    environment: Environment<'static>,
    /// Which kind has both forms in which language, such as `reset_password.de`.
    complete: BTreeSet<String>,
}

impl Templates {
    /// The built-in texts, and in their place or beside them those of a folder. Every one is tried.
    ///
    /// # Errors
    /// A text for an operator: which file can't be read or used, and why.
    pub fn open(folder: Option<&Path>) -> Result<Self, String> {
        let mut environment = Environment::new();
        // A misspelt variable is a fault, and not nothing.
        environment.set_undefined_behavior(UndefinedBehavior::Strict);
        let syntax = SyntaxConfig::builder()
            .trim_blocks(true)
            .lstrip_blocks(true)
            .keep_trailing_newline(true)
            .build()
            .map_err(|error| error.to_string())?;
        environment.set_syntax(syntax);
        let mut names = BTreeSet::new();
        for (name, source) in BUILT_IN {
            environment
                .add_template(name, source)
                .map_err(|error| format!("{name}: {error}"))?;
            names.insert(name.to_owned());
        }
        for (name, source) in own(folder)? {
            environment
                .add_template_owned(name.clone(), source)
                .map_err(|error| format!("{name}: {error}"))?;
            names.insert(name);
        }
        let complete = names
            .iter()
            .filter_map(|name| name.strip_suffix(".txt"))
            .filter(|stem| names.contains(&format!("{stem}.html")))
            .map(str::to_owned)
            .collect();
        let templates = Self {
            environment,
            complete,
        };
        for stem in &templates.complete {
            let kind = stem.split('.').next().and_then(MailKind::from_name);
            let kind = kind.unwrap_or(MailKind::VerifyEmail);
            templates.render_stem(stem, &Contents::example(kind))?;
        }
        Ok(templates)
    }

    /// Renders a mail in the language of its reader, or the nearest that there is.
    ///
    /// # Errors
    /// A text for an operator.
    pub fn render(
        &self,
        kind: MailKind,
        locale: Option<&str>,
        contents: &Contents<'_>,
    ) -> Result<Rendered, String> {
        let wanted = locale.unwrap_or(DEFAULT_LANGUAGE).to_ascii_lowercase();
        // RFC 4647 §3.4: from the right, subtag by subtag.
        let mut tag = wanted.as_str();
        loop {
            let stem = format!("{}.{tag}", kind.as_str());
            if self.complete.contains(&stem) {
                return self.render_stem(&stem, contents);
            }
            match tag.rsplit_once('-') {
                Some((shorter, _)) => tag = shorter,
                None if tag == DEFAULT_LANGUAGE => return Err(format!("there is no template {stem}")),
                None => tag = DEFAULT_LANGUAGE,
            }
        }
    }

    fn render_stem(&self, stem: &str, contents: &Contents<'_>) -> Result<Rendered, String> {
        let render = |form: &str| {
            let name = format!("{stem}.{form}");
            let rendered = self
                .environment
                .get_template(&name)
                .and_then(|template| template.render(Serde(contents)));
            rendered.map_err(|error| format!("{name}: {error}"))
        };
        let plain = render("txt")?;
        let (first, rest) = plain.split_once('\n').unwrap_or((&plain, ""));
        let subject = first
            .strip_prefix(SUBJECT)
            .ok_or_else(|| format!("{stem}.txt: the first line must begin with \"{SUBJECT}\""))?;
        Ok(Rendered {
            subject: subject.trim().chars().filter(|c| !c.is_control()).collect(),
            text: rest.trim_start_matches(['\r', '\n']).to_owned(),
            html: render("html")?,
        })
    }
}

/// Templates in a folder: known mails in any language, and the layout. Anything else is a misspelt name.
fn own(folder: Option<&Path>) -> Result<Vec<(String, String)>, String> {
    let Some(folder) = folder else {
        return Ok(Vec::new());
    };
    let unreadable = |error: std::io::Error| format!("{} can't be read: {error}", folder.display());
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).map_err(unreadable)? {
        let path = entry.map_err(unreadable)?.path();
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned());
        let Some(name) = name.filter(|name| matches!(name.rsplit('.').next(), Some("txt" | "html"))) else {
            continue;
        };
        if !is_known(&name) {
            return Err(format!("{} is the name of no template", path.display()));
        }
        let source = fs::read_to_string(&path)
            .map_err(|error| format!("{} can't be read: {error}", path.display()))?;
        found.push((name.to_lowercase(), source));
    }
    Ok(found)
}

fn is_known(name: &str) -> bool {
    if name == "layout.html" {
        return true;
    }
    let mut parts = name.split('.');
    let kind = parts.next().and_then(MailKind::from_name);
    let language = parts.next().map(crate::domain::Locale::parse);
    kind.is_some_and(MailKind::has_template)
        && matches!(language, Some(Ok(Some(_))))
        && matches!((parts.next(), parts.next()), (Some("txt" | "html"), None))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn render(templates: &Templates, locale: Option<&str>) -> Rendered {
        templates
            .render(
                MailKind::ResetPassword,
                locale,
                &Contents::example(MailKind::ResetPassword),
            )
            .unwrap()
    }

    #[test]
    fn every_mail_has_its_texts_in_both_languages() {
        let templates = Templates::open(None).unwrap();
        for kind in MailKind::ALL.iter().filter(|kind| kind.has_template()) {
            let [english, german] = ["en", "de"].map(|language| {
                templates
                    .render(*kind, Some(language), &Contents::example(*kind))
                    .unwrap()
            });
            assert_ne!(english.subject, german.subject);
            for rendered in [&english, &german] {
                assert!(rendered.subject.len() < 78 && !rendered.subject.is_empty());
                assert!(rendered.html.contains("</html>"));
                let link = Contents::example(*kind).link.unwrap();
                // On a line of its own, or not at all.
                assert_eq!(
                    rendered.text.contains("roster_ml_"),
                    rendered.text.lines().any(|line| line == link)
                );
                assert_eq!(kind.has_code(), rendered.text.contains("K7QM-2XWD"), "{kind:?}");
                assert_eq!(kind.has_code(), rendered.html.contains(">K7QM-2XWD<"), "{kind:?}");
                let longest = rendered.text.lines().map(str::len).max();
                assert!(longest < Some(150), "{kind:?}");
            }
        }
    }

    #[test]
    fn the_language_is_the_nearest_that_there_is() {
        let templates = Templates::open(None).unwrap();
        let [german, english] = [Some("de"), Some("en")].map(|locale| render(&templates, locale).subject);
        for locale in ["de-AT", "DE-ch-1996", "de-x-private"] {
            assert_eq!(render(&templates, Some(locale)).subject, german);
        }
        for locale in [None, Some("fr"), Some("en-GB"), Some("zh-Hant-TW")] {
            assert_eq!(render(&templates, locale).subject, english);
        }
    }

    #[test]
    fn a_folder_replaces_texts_and_adds_languages() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| fs::write(folder.path().join(name), text).unwrap();
        write("reset_password.en.txt", "Subject: Ours\n\n{{ link }}\n");
        write("reset_password.fr.txt", "Subject: Le nôtre\n\n{{ link }}\n");
        write("README.md", "not a template");
        let templates = Templates::open(Some(folder.path())).unwrap();
        assert_eq!(render(&templates, None).subject, "Ours");
        assert_eq!(
            render(&templates, Some("fr")).subject,
            "Ours",
            "half a translation is none"
        );
        write(
            "reset_password.fr.html",
            "{% extends 'layout.html' %}{% block body %}{{ service }}{% endblock %}",
        );
        let templates = Templates::open(Some(folder.path())).unwrap();
        assert_eq!(render(&templates, Some("fr-CA")).subject, "Le nôtre");
    }

    #[test]
    fn a_template_that_cannot_work_stops_the_start() {
        for (name, text, problem) in [
            (
                "reset_password.en.txt",
                "Subject: {{ lnk }}\n",
                "reset_password.en.txt",
            ),
            (
                "reset_password.en.txt",
                "Subject: {% if %}\n",
                "reset_password.en.txt",
            ),
            (
                "reset_password.en.txt",
                "Hello\n",
                "the first line must begin with",
            ),
            (
                "reset_pasword.en.txt",
                "Subject: x\n",
                "is the name of no template",
            ),
            ("register.en.txt", "Subject: x\n", "is the name of no template"),
        ] {
            let folder = tempfile::tempdir().unwrap();
            fs::write(folder.path().join(name), text).unwrap();
            let error = Templates::open(Some(folder.path())).unwrap_err();
            assert!(error.contains(problem), "{error}");
        }
    }

    #[test]
    fn what_is_told_is_escaped_in_html_and_a_subject_stays_one_line() {
        let templates = Templates::open(None).unwrap();
        let contents = Contents {
            service: "A<b>&\r\nBcc: eve@x.test",
            ..Contents::example(MailKind::PasswordChanged)
        };
        let rendered = templates
            .render(MailKind::PasswordChanged, None, &contents)
            .unwrap();
        assert!(rendered.html.contains("A&lt;b&gt;&amp;"), "{}", rendered.html);
        assert!(!rendered.subject.contains(['\r', '\n']));
    }
}
