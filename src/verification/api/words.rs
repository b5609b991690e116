//! What the pages say, in either language.

/// The words of a page.
#[derive(Debug)]
pub(super) struct Words {
    pub(super) language: &'static str,
    pub(super) verify: Page,
    pub(super) confirm: Page,
    pub(super) reset: Page,
    pub(super) email: &'static str,
    pub(super) code: &'static str,
    pub(super) password: &'static str,
    pub(super) type_it: &'static str,
    pub(super) bad_code: &'static str,
    pub(super) taken: &'static str,
    pub(super) too_many: &'static str,
    pub(super) close: &'static str,
}

/// The words of one of them.
#[derive(Debug)]
pub(super) struct Page {
    pub(super) title: &'static str,
    pub(super) text: &'static str,
    pub(super) button: &'static str,
    pub(super) done: &'static str,
}

pub(super) static ENGLISH: Words = Words {
    language: "en",
    verify: Page {
        title: "Confirm your e-mail address",
        text: "Press the button to confirm that this address is yours.",
        button: "Confirm the address",
        done: "Your address is confirmed.",
    },
    confirm: Page {
        title: "Confirm your new e-mail address",
        text: "Press the button to make this address the one of your account.",
        button: "Confirm the new address",
        done: "Your account has the new address now.",
    },
    reset: Page {
        title: "Choose a new password",
        text: "Wherever you are signed in, you will have to sign in again.",
        button: "Set the password",
        done: "The password is set. Sign in with it.",
    },
    email: "E-mail address",
    code: "Code from the mail",
    password: "New password",
    type_it: "Type the address that the mail went to, and the code of eight characters in it.",
    bad_code: "This code is not valid, or not any more. It works once, for a while, and only the last one that was sent. \
               Ask for a new one.",
    taken: "Another account has this address meanwhile.",
    too_many: "There were too many attempts from here. Wait a while, and press the button again.",
    close: "You can close this page.",
};

pub(super) static GERMAN: Words = Words {
    language: "de",
    verify: Page {
        title: "Bestätige deine E-Mail-Adresse",
        text: "Drücke auf den Knopf, um zu bestätigen, dass diese Adresse dir gehört.",
        button: "Adresse bestätigen",
        done: "Deine Adresse ist bestätigt.",
    },
    confirm: Page {
        title: "Bestätige deine neue E-Mail-Adresse",
        text: "Drücke auf den Knopf, damit dein Konto diese Adresse bekommt.",
        button: "Neue Adresse bestätigen",
        done: "Dein Konto hat jetzt die neue Adresse.",
    },
    reset: Page {
        title: "Wähle ein neues Passwort",
        text: "Wo du angemeldet bist, musst du dich danach neu anmelden.",
        button: "Passwort setzen",
        done: "Das Passwort ist gesetzt. Melde dich damit an.",
    },
    email: "E-Mail-Adresse",
    code: "Code aus der Mail",
    password: "Neues Passwort",
    type_it: "Gib die Adresse ein, an die die Mail ging, und den achtstelligen Code daraus.",
    bad_code: "Dieser Code gilt nicht oder nicht mehr. Er geht einmal, eine Zeit lang, und nur der zuletzt gesendete. \
               Fordere einen neuen an.",
    taken: "Ein anderes Konto hat inzwischen diese Adresse.",
    too_many: "Von hier kamen zu viele Versuche. Warte eine Weile und drücke noch einmal auf den Knopf.",
    close: "Du kannst diese Seite schließen.",
};

/// Why a password was refused, for a reader of German; none for what is said in English alone.
pub(super) fn german_fault(code: &str) -> Option<&'static str> {
    Some(match code {
        "too_short" => "Das Passwort ist zu kurz.",
        "too_long" => "Das Passwort ist zu lang.",
        "too_common" => "Dieses Passwort verwenden zu viele.",
        "too_guessable" => "Dieses Passwort ist zu leicht zu erraten.",
        "contains_email" => "Das Passwort darf deine E-Mail-Adresse nicht enthalten.",
        "breached" => "Dieses Passwort ist in einem Datenleck gefunden worden.",
        _ => return None,
    })
}
