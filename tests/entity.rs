//! The entities are what SeaORM's generator makes of the migrated schema, and nothing else.
//!
//! Regenerate after a migration: `ROSTER_REGENERATE=1 cargo test --test entity`.

#![expect(
    clippy::unwrap_used,
    reason = "what fails here fails the test, and there is nobody to tell it more gently"
)]

use std::collections::BTreeMap;
use std::path::Path;

use clap::Parser;
use migration::{Migrator, MigratorTrait};
use sea_orm_cli::GenerateSubcommands;

#[derive(Parser)]
struct Generator {
    #[command(subcommand)]
    command: GenerateSubcommands,
}

async fn generate(database_url: &str, into: &Path) {
    let into = into.to_str().unwrap();
    let arguments = [
        "generator",
        "entity",
        "--lib",
        "--entity-format",
        "dense",
        "--with-prelude",
        "none",
        "--database-url",
        database_url,
        "--output-dir",
        into,
    ];
    let generator = Generator::try_parse_from(arguments).unwrap();
    sea_orm_cli::run_generate_command(generator.command, false)
        .await
        .unwrap();
}

fn files(folder: &Path) -> BTreeMap<String, String> {
    std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_str().unwrap().to_owned();
            (name, std::fs::read_to_string(path).unwrap())
        })
        .collect()
}

#[tokio::test]
async fn the_entities_are_generated_from_the_migrated_schema() {
    let folder = tempfile::tempdir().unwrap();
    let url = format!("sqlite://{}?mode=rwc", folder.path().join("schema.db").display());
    let database = sea_orm::Database::connect(&url).await.unwrap();
    Migrator::up(&database, None).await.unwrap();
    database.close().await.unwrap();
    let generated = folder.path().join("generated");
    std::fs::create_dir(&generated).unwrap();
    generate(&url, &generated).await;

    let committed = Path::new(env!("CARGO_MANIFEST_DIR")).join("entity/src");
    if std::env::var_os("ROSTER_REGENERATE").is_some() {
        for (name, text) in files(&generated) {
            std::fs::write(committed.join(name), text).unwrap();
        }
    }
    assert_eq!(
        files(&committed),
        files(&generated),
        "entity/src has drifted from the schema: run ROSTER_REGENERATE=1 cargo test --test entity"
    );
}
