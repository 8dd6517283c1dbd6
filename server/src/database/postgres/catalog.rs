//! What a copy has to know of the tables, and has to switch off.

use sqlx::{AssertSqlSafe, PgConnection};

pub(in crate::database) use super::tables;

/// The columns of a table with their types.
pub(in crate::database) async fn columns(
    connection: &mut PgConnection,
    table: &str,
) -> sqlx::Result<Vec<(String, String)>> {
    let query = "SELECT column_name::TEXT, data_type::TEXT FROM information_schema.columns \
                 WHERE table_schema = current_schema() AND table_name = $1 ORDER BY ordinal_position";
    sqlx::query_as(query).bind(table).fetch_all(connection).await
}

/// The tables that rows of a table may refer to.
pub(in crate::database) async fn references(connection: &mut PgConnection, table: &str) -> sqlx::Result<Vec<String>> {
    let query = "SELECT DISTINCT other.relname::TEXT FROM pg_constraint JOIN pg_class AS other ON other.oid = confrelid \
                 WHERE contype = 'f' AND conrelid = CAST($1 AS TEXT)::REGCLASS";
    sqlx::query_scalar(query).bind(table).fetch_all(connection).await
}

/// The sequence behind the automatic numbers of a table.
async fn sequence(connection: &mut PgConnection, table: &str) -> sqlx::Result<Option<String>> {
    let query = "SELECT pg_get_serial_sequence($1, column_name) FROM information_schema.columns \
                 WHERE table_schema = current_schema() AND table_name = $1 AND is_identity = 'YES'";
    sqlx::query_scalar(query).bind(table).fetch_optional(connection).await
}

/// The last automatic number of a table that gives any.
pub(in crate::database) async fn counter(connection: &mut PgConnection, table: &str) -> sqlx::Result<Option<i64>> {
    let Some(sequence) = sequence(connection, table).await? else { return Ok(None) };
    let query = format!("SELECT CASE WHEN is_called THEN last_value ELSE last_value - 1 END FROM {sequence}");
    sqlx::query_scalar(AssertSqlSafe(query)).fetch_optional(connection).await
}

/// The next automatic number of a table is the one after this.
pub(in crate::database) async fn set_counter(
    connection: &mut PgConnection,
    table: &str,
    last: i64,
) -> sqlx::Result<()> {
    let Some(sequence) = sequence(connection, table).await? else { return Ok(()) };
    let query = "SELECT setval(CAST($1 AS TEXT)::REGCLASS, $2, FALSE)";
    sqlx::query(query).bind(sequence).bind(last + 1).execute(connection).await?;
    Ok(())
}

/// Switches the triggers off. Answers what switches them on again, to be run in the same transaction.
pub(in crate::database) async fn triggers_off(connection: &mut PgConnection) -> sqlx::Result<Vec<String>> {
    let mut back = Vec::new();
    for table in tables(connection).await? {
        let off = AssertSqlSafe(format!("ALTER TABLE {table} DISABLE TRIGGER USER"));
        sqlx::raw_sql(off).execute(&mut *connection).await?;
        back.push(format!("ALTER TABLE {table} ENABLE TRIGGER USER"));
    }
    Ok(back)
}

/// What is read or written from now on in this transaction takes as long as it takes.
pub(in crate::database) async fn without_limits(connection: &mut PgConnection) -> sqlx::Result<()> {
    let settings = "SET LOCAL statement_timeout = 0; SET LOCAL idle_in_transaction_session_timeout = 0";
    sqlx::raw_sql(settings).execute(connection).await?;
    Ok(())
}
