//! Mail, from the request to the mailbox: over a real mail server, and as files where there is none.

mod crashes;
mod files;
mod flows;
mod looks;
mod server;
mod timing;
