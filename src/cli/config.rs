//! `roster config`: what is configured, and where each value comes from.

use clap::Subcommand;
use serde::Serialize;

use super::Context;
use super::output::table;
use crate::config::Need;
use crate::startup::StartError;

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Say whether the configuration is good; a line for each fault where it isn't
    Check,
    /// List every key with its value and origin; secrets stay hidden
    Show,
}

#[derive(Serialize)]
struct Row<'a> {
    key: &'a str,
    value: Option<&'a str>,
    origin: &'a str,
    explanation: &'a str,
    allowed: &'a str,
}

pub(super) fn run(context: &Context, command: &Command) -> Result<(), StartError> {
    let loaded = context.load(Need::Everything)?;
    for notice in &loaded.notices {
        log::warn!("{notice}");
    }
    match command {
        Command::Check => context.output.done("the configuration is good"),
        Command::Show => {
            let rows: Vec<Row<'_>> = loaded
                .settings
                .iter()
                .map(|setting| Row {
                    key: setting.key,
                    value: setting.value.as_deref(),
                    origin: &setting.origin,
                    explanation: setting.explanation,
                    allowed: &setting.allowed,
                })
                .collect();
            context.output.data(&rows, |rows| {
                let cells = |row: &Row<'_>| {
                    vec![
                        row.key.to_owned(),
                        row.value
                            .filter(|value| !value.is_empty())
                            .unwrap_or("-")
                            .to_owned(),
                        row.origin.to_owned(),
                    ]
                };
                table(
                    &["KEY", "VALUE", "ORIGIN"],
                    &rows.iter().map(cells).collect::<Vec<_>>(),
                )
            })
        }
    }
}
