//! Sessions: how they go on, are seen, and end.

mod clean_up;
mod cookie;
mod endings;
mod histories;
mod list;
mod refresh;
mod services;
