//! Databases, behind the program's back.

use std::sync::atomic::{AtomicU32, Ordering};

use sea_orm::{ConnectOptions, ConnectionTrait as _, Database, DatabaseConnection};

use crate::postgres::cluster;

/// Connects to a database, behind the program's back.
pub async fn connect(url: &str) -> DatabaseConnection {
    let mut options = ConnectOptions::new(url);
    options.sqlx_logging(false).max_connections(2);
    Database::connect(options).await.unwrap()
}

/// How many rows a query gives.
pub async fn count(database: &DatabaseConnection, query: &str) -> usize {
    database
        .query_all_raw(statement(database, query))
        .await
        .unwrap()
        .len()
}

/// The first column of a query's rows, as text.
pub async fn column(database: &DatabaseConnection, query: &str) -> Vec<String> {
    let rows = database.query_all_raw(statement(database, query)).await.unwrap();
    rows.iter().map(|row| row.try_get_by_index(0).unwrap()).collect()
}

fn statement(database: &DatabaseConnection, query: &str) -> sea_orm::Statement {
    sea_orm::Statement::from_string(database.get_database_backend(), query)
}

/// A database of the shared server, for one test.
pub struct OwnDatabase {
    pub url: String,
    admin_url: String,
    name: String,
}

impl OwnDatabase {
    pub async fn create() -> Option<Self> {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let cluster = cluster()?;
        let name = format!(
            "program_{}_{}",
            std::process::id(),
            NUMBER.fetch_add(1, Ordering::Relaxed)
        );
        let admin_url = cluster.url("postgres");
        let admin = connect(&admin_url).await;
        admin
            .execute_unprepared(&format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)"))
            .await
            .unwrap();
        admin
            .execute_unprepared(&format!("CREATE DATABASE {name}"))
            .await
            .unwrap();
        admin.close().await.unwrap();
        Some(Self {
            url: cluster.url(&name),
            admin_url,
            name,
        })
    }
}

impl Drop for OwnDatabase {
    fn drop(&mut self) {
        let (url, drop) = (
            self.admin_url.clone(),
            format!("DROP DATABASE IF EXISTS {} WITH (FORCE)", self.name),
        );
        // A thread of its own: this one may be inside a runtime.
        let done = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .unwrap();
            runtime.block_on(async { connect(&url).await.execute_unprepared(&drop).await.unwrap() });
        });
        let _ = done.join();
    }
}
