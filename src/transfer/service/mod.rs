//! Moving users in and out.

mod ending;
mod export;
mod import;
mod own;
mod pace;
mod seen;

pub use export::export;
pub use import::{Import, ImportError, Report, import};
pub use own::{OwnData, own_data};
