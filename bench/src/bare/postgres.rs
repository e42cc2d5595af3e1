//! The rows of the bare server in PostgreSQL: each write commits on its own, as it is where many
//! connections write at the same time.

use anyhow::Result;
use axum::http::StatusCode;
use deadpool_postgres::{Manager, Object, Pool};
use tokio_postgres::NoTls;

use super::{By, Operation, Row, failed, patched};

/// Connections at most, as many as ours.
const CONNECTIONS: usize = 32;

#[derive(Clone)]
pub(super) struct Rows {
    pool: Pool,
}

impl Rows {
    pub(super) async fn open(url: &str) -> Result<Self> {
        let manager = Manager::new(url.parse()?, NoTls);
        let pool = Pool::builder(manager).max_size(CONNECTIONS).build()?;
        pool.get()
            .await?
            .batch_execute(
                "CREATE TABLE resources (id TEXT PRIMARY KEY, name TEXT NOT NULL, external TEXT, doc TEXT NOT NULL);
                 CREATE UNIQUE INDEX names ON resources (name);
                 CREATE INDEX externals ON resources (external);
                 CREATE TABLE members (owner TEXT, member TEXT, PRIMARY KEY (owner, member));
                 CREATE INDEX holders ON members (member);",
            )
            .await?;
        Ok(Self { pool })
    }

    async fn client(&self) -> Result<Object, StatusCode> {
        self.pool.get().await.map_err(failed)
    }

    pub(super) async fn insert(&self, row: Row) -> Result<(), StatusCode> {
        let client = self.client().await?;
        let sql = "INSERT INTO resources VALUES ($1, $2, $3, $4)";
        let statement = client.prepare_cached(sql).await.map_err(failed)?;
        client
            .execute(&statement, &[&row.id, &row.name, &row.external, &row.doc])
            .await
            .map_err(|_| StatusCode::CONFLICT)
            .map(|_| ())
    }

    pub(super) async fn find(&self, by: By, value: String) -> Result<Vec<String>, StatusCode> {
        let client = self.client().await?;
        let statement = client.prepare_cached(by.sql()).await.map_err(failed)?;
        let rows = client.query(&statement, &[&value]).await.map_err(failed)?;
        Ok(rows.iter().map(|row| row.get(0)).collect())
    }

    pub(super) async fn page(&self, skip: i64, count: i64) -> Result<Vec<String>, StatusCode> {
        let client = self.client().await?;
        let sql = "SELECT doc FROM resources ORDER BY id LIMIT $1 OFFSET $2";
        let statement = client.prepare_cached(sql).await.map_err(failed)?;
        let rows = client.query(&statement, &[&count, &skip]).await;
        Ok(rows.map_err(failed)?.iter().map(|row| row.get(0)).collect())
    }

    pub(super) async fn members(
        &self,
        group: String,
        members: Vec<String>,
        add: bool,
    ) -> Result<(), StatusCode> {
        let client = self.client().await?;
        let sql = if add {
            "INSERT INTO members SELECT $1, unnest($2::text[]) ON CONFLICT DO NOTHING"
        } else {
            "DELETE FROM members WHERE owner = $1 AND member = ANY($2)"
        };
        let statement = client.prepare_cached(sql).await.map_err(failed)?;
        client
            .execute(&statement, &[&group, &members])
            .await
            .map_err(failed)
            .map(|_| ())
    }

    pub(super) async fn change(
        &self,
        id: String,
        operations: Vec<Operation>,
    ) -> Result<String, StatusCode> {
        let mut client = self.client().await?;
        let tx = client.transaction().await.map_err(failed)?;
        let sql = "SELECT doc FROM resources WHERE id = $1 FOR UPDATE";
        let statement = tx.prepare_cached(sql).await.map_err(failed)?;
        let row = tx.query_one(&statement, &[&id]).await.map_err(failed)?;
        let doc = patched(row.get(0), operations);
        let sql = "UPDATE resources SET doc = $1 WHERE id = $2";
        let statement = tx.prepare_cached(sql).await.map_err(failed)?;
        tx.execute(&statement, &[&doc, &id]).await.map_err(failed)?;
        tx.commit().await.map_err(failed)?;
        Ok(doc)
    }

    pub(super) async fn delete(&self, id: String) -> Result<(), StatusCode> {
        let mut client = self.client().await?;
        let tx = client.transaction().await.map_err(failed)?;
        for sql in [
            "DELETE FROM members WHERE member = $1",
            "DELETE FROM resources WHERE id = $1",
        ] {
            let statement = tx.prepare_cached(sql).await.map_err(failed)?;
            tx.execute(&statement, &[&id]).await.map_err(failed)?;
        }
        tx.commit().await.map_err(failed)
    }
}
