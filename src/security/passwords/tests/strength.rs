//! Which passwords are good enough.

use super::super::common::{has_line, is_common};
use super::super::estimate::pressed_keys;
use super::super::strength::{PasswordContext, PasswordPolicy, Weakness};
use super::password;

fn policy(min_strength: u8) -> PasswordPolicy {
    PasswordPolicy {
        min_strength,
        breached: None,
        service_name: "Roster".to_owned(),
    }
}

fn context() -> PasswordContext {
    PasswordContext {
        email: "anna.petrova@example.org".to_owned(),
        display_name: Some("Anna-Lena Petrova of the long, long name".to_owned()),
    }
}

fn judge(min_strength: u8, text: &str) -> Result<(), Vec<Weakness>> {
    policy(min_strength).judge(&password(text), &context()).unwrap()
}

fn codes(min_strength: u8, text: &str) -> Vec<&'static str> {
    judge(min_strength, text)
        .err()
        .unwrap_or_default()
        .iter()
        .map(Weakness::code)
        .collect()
}

#[test]
fn bad_passwords_are_refused_by_default() {
    for text in [
        "passwordpassword",
        "123456789012345",
        "rosterroster",
        "RosterRoster",
        "roster2024",
        "anna.petrova@example.org",
        "ANNA.PETROVA@EXAMPLE.ORG!",
        "Anna-Lena Petrova",
        "(petrova, anna, lena)",
        "ANNA-LENA petrova of the long, long name ",
        "petrovaanna",
        "example.org",
        "qwertyuiop",
        "qwertyuiop12",
        "Password1",
        "pAsSwOrD1",
        "P@ssw0rd!",
        "iloveyou1",
        "aaaaaaaaaaaaaaa",
        "abcdefghijkl",
        "11111111",
        "19911991",
        "hunter2hunter2",
        "        ",
        "ааааааааааааа",
        "пароль123",
        "Пароль2024",
        "йцукенгшщз",
        "йцукенгшщзхъ",
        "привет123",
        "😀😀😀😀😀😀😀😀",
        "🐀🐁🐂🐃🐄🐅🐆🐇",
        "😀🐶😀🐶😀🐶😀🐶",
        &"a".repeat(128),
        &"password".repeat(16),
        &"qW".repeat(50),
    ] {
        assert!(judge(3, text).is_err(), "{text}");
    }
}

#[test]
fn good_passwords_pass_by_default() {
    for text in [
        "bicycle lantern orchard velvet",
        "velvetorchardlanternbicycle",
        "umbrella-castle-nineteen-frog",
        "мама мыла раму утром",
        "съешь ещё этих мягких булок",
        "зелёный верблюд читает газету",
        "今天天气很好我们去公园",
        "古池や蛙飛び込む水の音",
        "😀🐶🌵🍕🚗🎸🏔🦊",
        "🐶🐱🐭🐹🐰🦊🐻🐼",
        "🏔🦊🎸🍕🌵🚗🧊🪁🎲🧵",
        "👩‍🚀🏳️‍🌈🍕🐶🎸🌵",
        "Lena 🏔🦊🎸🍕🌵🚗🧊🪁",
        "Lena }#^&=_?~",
        "Tr0ub4dor&3",
        "739184620517",
        "8302749165381746",
        "kqzvtwmbxrjf",
        "zuhause regnet es nie",
        "le chat dort sur le toit",
        "😀🐶🌵🍕🚗🎸🏔🦊🧊🪁🎲🧵🐢🍄🎈",
        "xK9#mQ2$vL",
        "  spaces   everywhere inside ",
        "correct horse кафе\u{301}",
        "zażółć gęślą jaźń",
        &format!("{} bicycle lantern orchard velvet", "a".repeat(90)),
    ] {
        assert_eq!(judge(3, text), Ok(()), "{text}");
    }
}

#[test]
fn the_cheap_reasons_are_all_named_and_the_estimator_is_spared() {
    assert_eq!(codes(3, "Password1"), ["too_common"]);
    assert_eq!(codes(3, "xx anna.petrova yy zz"), ["contains_email"]);
    assert_eq!(codes(3, "anna.petrova@example.org"), ["contains_email"]);
    assert_eq!(codes(3, "rosterroster"), ["too_guessable"]);
    let context = PasswordContext {
        email: "password@example.org".to_owned(),
        display_name: None,
    };
    let both = policy(3)
        .judge(&password("PASSWORD"), &context)
        .unwrap()
        .unwrap_err();
    assert_eq!(
        both.iter().map(Weakness::code).collect::<Vec<_>>(),
        ["too_common", "contains_email"]
    );
}

#[test]
fn strength_is_a_setting() {
    assert_eq!(codes(0, "rosterroster"), [""; 0]);
    assert_eq!(
        codes(0, "Password1"),
        ["too_common"],
        "the list is asked at any strength"
    );
    assert_eq!(codes(0, "анна.petrova"), [""; 0]);
    assert_eq!(codes(2, "mypassword is velv"), [""; 0]);
    assert_eq!(codes(4, "xK9#mQ2$v"), ["too_guessable"]);
    assert_eq!(codes(3, "xK9#mQ2$v"), [""; 0]);
}

#[test]
fn a_refusal_says_why_and_how_to_do_better() {
    let weaknesses = judge(3, "qwertyuiop[]12").unwrap_err();
    let detail = weaknesses.first().unwrap().detail();
    assert!(detail.starts_with("is too easy to guess: "), "{detail}");
    assert!(
        detail.contains("Add another word or two. Uncommon words are better."),
        "{detail}"
    );
    assert!(!detail.contains("qwerty"), "no part of the password is repeated");
    let weaknesses = judge(3, "password").unwrap_err();
    assert_eq!(
        weaknesses.first().unwrap().detail(),
        "must not be one of the most common passwords"
    );
}

#[test]
fn the_address_must_not_be_in_the_password() {
    let contains = |email: &str, text: &str| {
        let context = PasswordContext {
            email: email.to_owned(),
            display_name: None,
        };
        let weaknesses = policy(0)
            .judge(&password(text), &context)
            .unwrap()
            .err()
            .unwrap_or_default();
        weaknesses
            .iter()
            .any(|weakness| weakness.code() == "contains_email")
    };
    assert!(contains("anna@example.org", "my name is ANNA ok"));
    assert!(contains("ann@example.org", "x Ann@Example.org y"));
    assert!(
        !contains("ann@example.org", "my name is Ann ok"),
        "three letters occur by chance"
    );
    assert!(!contains("anna@example.org", "my address is at example.org"));
    assert!(contains("жанна@example.org", "Меня зовут Жанна"));
    assert!(!contains("", "anything at all"));
    assert!(!contains("@", "anything @ all"));
}

#[test]
fn the_list_is_found_in_any_case_and_by_the_keys_pressed() {
    assert_eq!(codes(0, "PASSWORD"), ["too_common"]);
    assert_eq!(codes(0, "ПАРОЛЬ"), ["too_common"]);
    assert_eq!(codes(0, "йцукенгш"), ["too_common"], "qwertyui");
    assert_eq!(codes(0, "password!unlisted"), [""; 0]);
    assert_eq!(pressed_keys("Пароль 1").as_deref(), Some("gfhjkm 1"));
    assert_eq!(pressed_keys("plain"), None);
}

#[test]
fn the_list_is_what_the_search_expects() {
    let list = include_str!("../common.txt");
    let lines: Vec<&str> = list.lines().collect();
    assert!(lines.len() >= 10_000, "{}", lines.len());
    assert!(list.len() <= 300_000, "{}", list.len());
    assert!(list.ends_with('\n'));
    assert!(
        lines.is_sorted_by(|one, next| one < next),
        "sorted by bytes, no duplicates"
    );
    for line in lines {
        assert_eq!(line, line.to_lowercase());
        assert!(is_common(line), "{line}");
    }
}

#[test]
fn lines_are_found_whole_and_at_both_ends() {
    let list = "apple\nbanana\ncherry\n";
    for line in ["apple", "banana", "cherry"] {
        assert!(has_line(list, line));
        assert!(has_line(list.trim_end(), line));
    }
    for other in [
        "",
        "a",
        "app",
        "apples",
        "aardvark",
        "banana\n",
        "banana\ncherry",
        "zebra",
        "\n",
    ] {
        assert!(!has_line(list, other), "{other:?}");
        assert!(!has_line("", other));
    }
}

#[test]
fn hostile_texts_are_judged_without_failing() {
    // Arithmetic in the estimator overflows, and its search explodes, on longer pieces of these.
    for text in [
        "qW".repeat(512),
        "1+5-".repeat(256),
        "4@8({[<369!|1705$+%2".repeat(50),
        "()".repeat(512),
        "\u{301}".repeat(1024),
        "İ".repeat(1024),
        "ß".repeat(1000),
        "\u{1f468}\u{200d}".repeat(512),
        "1/1/91".repeat(100),
        "١٢٣٤٥٦٧٨".repeat(10),
    ] {
        let judged = policy(4).judge(&password(&text), &context());
        assert!(judged.is_ok());
    }
}
