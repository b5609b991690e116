//! Keys of features that this version doesn't have yet.
//!
//! They are known, so that nobody takes them for spelling mistakes, but a setting that would have
//! no effect is refused: an operator who asks for metrics must not believe to have them.

use super::layer::Form;
use super::reader::{Reader, Row};

/// Reads those whose section has nothing else; there is nothing to return.
pub(super) fn read(r: &mut Reader) {
    unset(
        r,
        "metrics.listen",
        Form::Plain,
        "metrics are not part of this version yet",
        "Address and port of the metrics listener; not in this version",
    );
}

/// A key that can't be set.
fn unset(r: &mut Reader, key: &'static str, form: Form, why: &str, explanation: &'static str) {
    let row = Row {
        key,
        form,
        allowed: "nothing; leave it out".to_owned(),
        explanation,
    };
    r.read(row, (), |_| Err(format!("is set, but {why}")), |()| None);
}
