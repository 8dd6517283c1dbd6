//! What a copy has to know of the tables, and has to switch off.

use sqlx::{AssertSqlSafe, SqliteConnection};

/// The tables, but for the migrations' own.
pub(in crate::database) async fn tables(connection: &mut SqliteConnection) -> sqlx::Result<Vec<String>> {
    let query = "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\' \
                 AND name <> '_sqlx_migrations' ORDER BY name";
    sqlx::query_scalar(query).fetch_all(connection).await
}

/// The columns of a table with their types.
pub(in crate::database) async fn columns(
    connection: &mut SqliteConnection,
    table: &str,
) -> sqlx::Result<Vec<(String, String)>> {
    let query = "SELECT name, type FROM pragma_table_info($1) ORDER BY cid";
    sqlx::query_as(query).bind(table).fetch_all(connection).await
}

/// The tables that rows of a table may refer to.
pub(in crate::database) async fn references(
    connection: &mut SqliteConnection,
    table: &str,
) -> sqlx::Result<Vec<String>> {
    sqlx::query_scalar("SELECT DISTINCT \"table\" FROM pragma_foreign_key_list($1)")
        .bind(table)
        .fetch_all(connection)
        .await
}

/// The last automatic number of a table that gives any.
pub(in crate::database) async fn counter(connection: &mut SqliteConnection, table: &str) -> sqlx::Result<Option<i64>> {
    sqlx::query_scalar("SELECT seq FROM sqlite_sequence WHERE name = $1").bind(table).fetch_optional(connection).await
}

/// The next automatic number of a table is the one after this.
pub(in crate::database) async fn set_counter(
    connection: &mut SqliteConnection,
    table: &str,
    last: i64,
) -> sqlx::Result<()> {
    let query = "DELETE FROM sqlite_sequence WHERE name = $1";
    sqlx::query(query).bind(table).execute(&mut *connection).await?;
    let query = "INSERT INTO sqlite_sequence (name, seq) VALUES ($1, $2)";
    sqlx::query(query).bind(table).bind(last).execute(connection).await?;
    Ok(())
}

/// Switches the triggers off. Answers what switches them on again, to be run in the same transaction.
pub(in crate::database) async fn triggers_off(connection: &mut SqliteConnection) -> sqlx::Result<Vec<String>> {
    let query = "SELECT name, sql FROM sqlite_schema WHERE type = 'trigger'";
    let triggers: Vec<(String, String)> = sqlx::query_as(query).fetch_all(&mut *connection).await?;
    let mut back = Vec::new();
    for (name, sql) in triggers {
        sqlx::raw_sql(AssertSqlSafe(format!("DROP TRIGGER {name}"))).execute(&mut *connection).await?;
        back.push(sql);
    }
    Ok(back)
}

/// What is read or written from now on in this transaction takes as long as it takes.
pub(in crate::database) async fn without_limits(_: &mut SqliteConnection) -> sqlx::Result<()> {
    Ok(())
}
