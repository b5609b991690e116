//! How guessable a password is: zxcvbn, with its cost bounded and its blind spots covered.
//!
//! zxcvbn counts the guesses of somebody who knows word lists, names, keyboards, dates and what the user told us.
//!
//! **Cost.** It tries every combination of look-alike characters (`4` for `a`, …) on every part of the text: with
//! all of them in it, a hundred characters take 1.2 s of a core, four bcrypt hashes. Hence windows: a text is cut
//! into pieces of at most 24 code points, and the strongest counts, which is sound because a whole is at least as
//! hard to guess as any of its parts. The search stops at the first window that is good enough. Ordinary passwords take
//! under a millisecond; the worst of 90,000 hostile texts took 0.17 s, of 1,024 characters as of 128. (zxcvbn itself
//! would silently ignore everything after 100 characters, and its arithmetic overflows on keyboard walks of more
//! than 28.)
//!
//! **Characters.** It takes every character for one of ten, which makes eight emoji as guessable as eight digits;
//! characters out of a repertoire of thousands count for more here.
//!
//! **Keyboards.** It knows none with Cyrillic letters; a text with some is judged as the keys that were pressed as well,
//! and the weaker verdict counts.

use std::collections::HashSet;

use zxcvbn::matching::patterns::MatchPattern;
use zxcvbn::{Entropy, Score, zxcvbn};

/// How many code points are judged at a time.
const WINDOW: usize = 24;

/// The most context words that zxcvbn is told; it looks each part of the password up in them.
const MOST_CONTEXT_WORDS: usize = 64;

/// The shortest part of an address or a name that counts as a word of its own.
const SHORTEST_CONTEXT_WORD: usize = 3;

/// The keys of the Russian layout, and what they write in the American one.
const RUSSIAN_KEYS: &str = "йцукенгшщзхъфывапролджэячсмитьбюё";
const AMERICAN_KEYS: &str = "qwertyuiop[]asdfghjkl;'zxcvbnm,.`";

/// A verdict on a password.
pub(super) struct Estimate {
    /// zxcvbn's scale: 0 (a thousand guesses) to 4 (ten thousand million and more).
    pub score: u8,
    /// What is wrong with it and how to choose a better one, in sentences.
    pub hints: Vec<String>,
}

/// Judges a password in NFC. `enough` is the score at which the search for a strong part may stop.
pub(super) fn estimate(password: &str, context: &[&str], enough: u8) -> Estimate {
    if is_context_only(password, context) {
        return Estimate {
            score: 0,
            hints: Vec::new(),
        };
    }
    let words = context_words(context);
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let verdict = strongest_window(password, &words, enough);
    if verdict.score < enough {
        return verdict;
    }
    match pressed_keys(password) {
        Some(keys) => {
            let pressed = strongest_window(&keys, &words, enough);
            if pressed.score < verdict.score {
                pressed
            } else {
                verdict
            }
        }
        None => verdict,
    }
}

/// The password as typed with an American layout, if there are Cyrillic letters in it; in lower case.
pub(super) fn pressed_keys(password: &str) -> Option<String> {
    let mut cyrillic = false;
    let keys = password
        .to_lowercase()
        .chars()
        .map(|letter| {
            let key = RUSSIAN_KEYS
                .chars()
                .zip(AMERICAN_KEYS.chars())
                .find_map(|(russian, american)| (russian == letter).then_some(american));
            cyrillic |= key.is_some();
            key.unwrap_or(letter)
        })
        .collect();
    cyrillic.then_some(keys)
}

fn strongest_window(password: &str, words: &[&str], enough: u8) -> Estimate {
    let letters: Vec<char> = password.chars().collect();
    let mut strongest = Estimate {
        score: 0,
        hints: Vec::new(),
    };
    for (number, window) in letters.chunks(WINDOW).enumerate() {
        // zxcvbn copies what it is given and overwrites none of it: the price of asking it.
        let judged = judge(&zxcvbn(&String::from_iter(window), words));
        if number == 0 || judged.score > strongest.score {
            strongest = judged;
        }
        if strongest.score >= enough {
            break;
        }
    }
    strongest
}

fn judge(entropy: &Entropy) -> Estimate {
    let mut hints = Vec::new();
    if let Some(feedback) = entropy.feedback() {
        hints.extend(feedback.warning().map(|warning| warning.to_string()));
        hints.extend(feedback.suggestions().iter().map(ToString::to_string));
    }
    Estimate {
        score: score(entropy),
        hints,
    }
}

/// zxcvbn's score, or the one on its scale after each different wide character that it found no pattern in has
/// counted as one of a hundred instead of ten. A hundred is what people really pick emoji from.
fn score(entropy: &Entropy) -> u8 {
    let unpatterned = entropy
        .sequence()
        .iter()
        .filter(|part| part.pattern == MatchPattern::BruteForce)
        .flat_map(|part| part.token.chars());
    let wide: HashSet<char> = unpatterned.filter(|letter| is_wide(*letter)).collect();
    let Ok(bonus) = u8::try_from(wide.len()) else {
        return u8::from(Score::Four);
    };
    if bonus == 0 {
        return u8::from(entropy.score());
    }
    match entropy.guesses_log10() + f64::from(bonus) {
        guesses if guesses < 3.0 => 0,
        guesses if guesses < 6.0 => 1,
        guesses if guesses < 8.0 => 2,
        guesses if guesses < 10.0 => 3,
        _ => 4,
    }
}

/// Symbols, emoji, kana, Hangul and ideographs; not the joiners, selectors and skin tones that only modify them.
fn is_wide(letter: char) -> bool {
    matches!(
        letter,
        '\u{2190}'..='\u{2bff}'
            | '\u{2e80}'..='\u{d7ff}'
            | '\u{f900}'..='\u{faff}'
            | '\u{1f000}'..='\u{1f3fa}'
            | '\u{1f400}'..='\u{1faff}'
            | '\u{20000}'..='\u{3ffff}'
    )
}

/// Whether a password is nothing but words of the context, and the characters between them: to zxcvbn each further
/// word of a long name is a new riddle.
fn is_context_only(password: &str, context: &[&str]) -> bool {
    let password = password.to_lowercase();
    let context: Vec<String> = context.iter().map(|text| text.to_lowercase()).collect();
    let known: HashSet<&str> = context.iter().flat_map(|text| words(text)).collect();
    let count = words(&password).count();
    let between = password.chars().filter(|letter| !letter.is_alphanumeric());
    let is_ordinary =
        between.clone().all(|letter| letter.is_ascii()) && between.count() <= count.saturating_mul(2);
    count > 0 && is_ordinary && words(&password).all(|word| known.contains(word))
}

/// The runs of letters and digits in a text.
fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|letter: char| !letter.is_alphanumeric())
        .filter(|word| !word.is_empty())
}

/// What the password may not be built from: each text as it is, and its words.
fn context_words(context: &[&str]) -> Vec<String> {
    let whole = context.iter().map(|text| text.trim());
    let parts = context
        .iter()
        .flat_map(|text| words(text))
        .filter(|part| part.chars().count() >= SHORTEST_CONTEXT_WORD);
    whole
        .chain(parts)
        .filter(|word| !word.is_empty())
        .take(MOST_CONTEXT_WORDS)
        .map(str::to_lowercase)
        .collect()
}
