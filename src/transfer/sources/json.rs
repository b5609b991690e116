//! The JSON of one row, read as strictly as a request's body. Here the reason goes to the operator who has the file.

use serde_json::Value;

use super::MAX_ROW_BYTES;
use super::row::Row;
use crate::json::{self, Fault, MAX_DEPTH};
use crate::transfer::model::Refusal;

/// Reads a row; none is one that was too long.
pub(super) fn row(bytes: Option<&[u8]>) -> Result<Row, Refusal> {
    let too_long = || Refusal::row(format!("must have at most {MAX_ROW_BYTES} bytes"));
    let bytes = bytes.ok_or_else(too_long)?;
    let text = std::str::from_utf8(bytes).map_err(|_| Refusal::row("must be UTF-8"))?;
    match value(text)? {
        Value::Object(members) => Ok(Row::new(members)),
        _ => Err(Refusal::row("must be a JSON object")),
    }
}

/// Reads one JSON text.
pub(super) fn value(text: &str) -> Result<Value, Refusal> {
    json::parse(text).map_err(|fault| match fault {
        Fault::Syntax | Fault::Trailing => Refusal::row("must be valid JSON"),
        Fault::TooDeep => Refusal::row(format!("must not be nested deeper than {MAX_DEPTH} levels")),
        Fault::Repeated(name) => Refusal::new(&name, "must be there only once"),
    })
}
