//! One JSON document: an array of users, or an object with such an array as its member `users`. What such an object has
//! besides is handed on as it is met, before the users or behind them.
//!
//! A parser would want the whole document, or at least a whole user of any size. So the document is only cut here, at
//! the brackets, into users of bounded size; what a user holds is read strictly afterwards, each on its own. That is
//! also why one that can't be read costs the others nothing, as long as its brackets are right.

use std::io::BufRead;
use std::ops::ControlFlow;

use super::input::{Bounded, Input};
use super::{ReadFault, TakeRow, json};

/// The member that holds the users.
const USERS: &[u8] = b"\"users\"";

/// A member of the document besides `users`.
pub(super) struct Beside<'a> {
    /// Its name as it is written, quotes included.
    pub(super) name: &'a [u8],
    /// Its value; none where it has more than a row may have.
    pub(super) value: Option<&'a [u8]>,
    /// Whether the users have been handed on already.
    pub(super) is_behind: bool,
}

/// Looks at a member besides `users`, and ends the reading where it can't be right.
pub(super) type TakeBeside<'a> = dyn FnMut(Beside<'_>) -> Result<(), ReadFault> + 'a;

/// Hands on each user, and whatever else the document has.
pub(super) fn read<R: BufRead>(
    input: &mut Input<R>,
    beside: &mut TakeBeside<'_>,
    take: &mut TakeRow<'_>,
) -> Result<(), ReadFault> {
    let flow = match input.peek()? {
        Some(b'[') => users(input, take)?,
        _ => object_with_users(input, beside, take)?,
    };
    if flow.is_break() {
        return Ok(());
    }
    input.skip_white_space()?;
    match input.peek()? {
        None => Ok(()),
        Some(_) => Err(broken(input, "there is more behind its end")),
    }
}

fn object_with_users<R: BufRead>(
    input: &mut Input<R>,
    beside: &mut TakeBeside<'_>,
    take: &mut TakeRow<'_>,
) -> Result<ControlFlow<()>, ReadFault> {
    expect(input, b'{', "an object must begin here")?;
    let (mut name, mut value) = (Bounded::default(), Bounded::default());
    let mut is_found = false;
    let mut is_first = true;
    loop {
        input.skip_white_space()?;
        match input.peek()? {
            Some(b'}') if is_found => {
                input.advance(1)?;
                return Ok(ControlFlow::Continue(()));
            }
            Some(b'}') => {
                return Err(ReadFault::format(
                    r#"must have a member "users" with an array of users"#,
                ));
            }
            _ => {}
        }
        if !is_first {
            expect(input, b',', "a comma or the end of the object must be here")?;
            input.skip_white_space()?;
        }
        is_first = false;
        if input.peek()? != Some(b'"') {
            return Err(broken(input, "the name of a member must be here"));
        }
        cut_value(input, &mut name)?;
        let is_users = name.get() == Some(USERS);
        input.skip_white_space()?;
        expect(input, b':', "a colon must be here")?;
        input.skip_white_space()?;
        if !is_users {
            cut_value(input, &mut value)?;
            beside(Beside {
                name: name.get().unwrap_or_default(),
                value: value.get(),
                is_behind: is_found,
            })?;
        } else if is_found {
            return Err(ReadFault::format("has two members \"users\""));
        } else {
            is_found = true;
            if users(input, take)?.is_break() {
                return Ok(ControlFlow::Break(()));
            }
        }
    }
}

fn users<R: BufRead>(input: &mut Input<R>, take: &mut TakeRow<'_>) -> Result<ControlFlow<()>, ReadFault> {
    expect(input, b'[', "an array of users must begin here")?;
    let mut user = Bounded::default();
    let mut is_first = true;
    loop {
        input.skip_white_space()?;
        if input.peek()? == Some(b']') {
            input.advance(1)?;
            return Ok(ControlFlow::Continue(()));
        }
        if !is_first {
            expect(input, b',', "a comma or the end of the array must be here")?;
            input.skip_white_space()?;
        }
        is_first = false;
        let line = input.line();
        cut_value(input, &mut user)?;
        if take(line, json::row(user.get())).is_break() {
            return Ok(ControlFlow::Break(()));
        }
    }
}

/// Where in a value the next byte is.
#[derive(Default)]
struct Place {
    depth: u64,
    is_in_string: bool,
    is_escaped: bool,
    has_begun: bool,
}

/// What a byte does to the value that it is met in.
enum Step {
    Inside,
    Last,
    Behind,
}

impl Place {
    fn step(&mut self, byte: u8) -> Step {
        let had_begun = std::mem::replace(&mut self.has_begun, true);
        if self.is_in_string {
            if self.is_escaped {
                self.is_escaped = false;
            } else if byte == b'\\' {
                self.is_escaped = true;
            } else if byte == b'"' {
                self.is_in_string = false;
                return if self.depth == 0 { Step::Last } else { Step::Inside };
            }
            return Step::Inside;
        }
        match byte {
            b'"' if self.depth > 0 || !had_begun => self.is_in_string = true,
            b'{' | b'[' if self.depth > 0 || !had_begun => self.depth = self.depth.saturating_add(1),
            b'}' | b']' if self.depth == 1 => return Step::Last,
            b'}' | b']' if self.depth > 1 => self.depth -= 1,
            // A number, a name, or nonsense: up to what can't be part of it.
            b'"' | b'{' | b'[' | b'}' | b']' | b',' | b':' | b' ' | b'\t' | b'\r' | b'\n'
                if self.depth == 0 =>
            {
                return Step::Behind;
            }
            _ => {}
        }
        Step::Inside
    }
}

/// Reads to the end of the value that begins here.
fn cut_value<R: BufRead>(input: &mut Input<R>, value: &mut Bounded) -> Result<(), ReadFault> {
    value.clear();
    let mut place = Place::default();
    let mut is_empty = true;
    loop {
        let buffer = input.buffer()?;
        if buffer.is_empty() {
            return Err(broken(input, "it ends too early"));
        }
        let mut length = 0;
        let mut is_done = false;
        for byte in buffer {
            let step = place.step(*byte);
            is_done = !matches!(step, Step::Inside);
            length += usize::from(!matches!(step, Step::Behind));
            if is_done {
                break;
            }
        }
        value.extend(buffer.get(..length).unwrap_or_default());
        is_empty = is_empty && length == 0;
        input.advance(length)?;
        if is_done {
            return if is_empty {
                Err(broken(input, "a value must be here"))
            } else {
                Ok(())
            };
        }
    }
}

fn expect<R: BufRead>(input: &mut Input<R>, byte: u8, detail: &str) -> Result<(), ReadFault> {
    match input.peek()? {
        Some(found) if found == byte => input.advance(1),
        None => Err(broken(input, "it ends too early")),
        Some(_) => Err(broken(input, detail)),
    }
}

fn broken<R: BufRead>(input: &Input<R>, detail: &str) -> ReadFault {
    ReadFault::format(format!("isn't valid JSON on line {}: {detail}", input.line()))
}
