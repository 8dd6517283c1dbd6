//! What is PostgreSQL's alone. What has to be the same on both is tested where it is.

use crate::{
    audit::verify,
    auth::testing::{self, Postgres},
    database::{
        Database,
        migrations::{POSTGRES, SQLITE},
        pool::on,
    },
    model::{Action, Actor, Entry},
};
use app::model::time::UnixMillis;
use std::{
    collections::{BTreeMap, BTreeSet},
    time::Instant,
};

async fn refused(url: &str) -> String {
    let error = Database::open(url).await.expect_err(url);
    assert!(!format!("{error} {error:?}").contains("hunter"), "{error:?}");
    error.to_string()
}

#[tokio::test]
async fn both_kinds_have_the_same_migrations_tables_and_columns() {
    let names = |migrations: &sqlx::migrate::Migrator| {
        migrations.iter().map(|made| (made.version, made.description.to_string())).collect::<Vec<_>>()
    };
    assert_eq!(names(&POSTGRES), names(&SQLITE));

    let mut columns = Vec::new();
    for (_home, database) in testing::databases().await {
        let query = match database.pool {
            crate::database::Either::Sqlite(_) => {
                "SELECT part.name, col.name, col.type, col.\"notnull\" = 1 OR col.pk > 0 FROM sqlite_schema AS part \
                 CROSS JOIN pragma_table_info(part.name) AS col WHERE part.type = 'table' AND part.name NOT LIKE 'sqlite_%'"
            }
            crate::database::Either::Postgres(_) => {
                "SELECT table_name::TEXT, column_name::TEXT, data_type::TEXT, is_nullable = 'NO' \
                 FROM information_schema.columns WHERE table_schema = current_schema()"
            }
        };
        let rows: Vec<(String, String, String, bool)> =
            on!(&database.pool, db => sqlx::query_as(query).fetch_all(db)).unwrap();
        let kind = |name: &str| match name.to_uppercase().as_str() {
            "INTEGER" | "BIGINT" => "number",
            "BLOB" | "BYTEA" => "bytes",
            "TEXT" => "text",
            "BOOLEAN" => "boolean",
            "DOUBLE PRECISION" => "real",
            other => panic!("{other}"),
        };
        let rows = rows.into_iter().filter(|(table, ..)| table != "_sqlx_migrations");
        columns.push(rows.map(|(table, name, of, full)| (table, name, kind(&of), full)).collect::<BTreeSet<_>>());
    }
    assert!(columns[0].len() > 80 && columns[0] == columns[1], "{:#?}", columns[0].symmetric_difference(&columns[1]));
}

#[tokio::test]
async fn what_is_wrong_is_said_with_what_would_be_right_and_without_the_password() {
    let server = Postgres::shared();
    let empty = server.empty_database().await;
    let text = refused(&server.url_of("guarded:hunter3", &empty.name)).await;
    assert!(text.contains("refuses the role `guarded`: password authentication failed"), "{text}");
    assert!(text.contains(&format!("`{}` at 127.0.0.1:{}", empty.name, server.port)), "{text}");
    let text = refused(&server.url_of("guarded", &empty.name)).await;
    assert!(text.contains("refuses the role `guarded`"), "{text}");

    let text = refused(&server.url_of("guarded:hunter%202%25", &empty.name)).await;
    assert!(
        text.contains("the role `guarded` may not make the tables (permission denied for schema public)"),
        "{text}"
    );
    let text = refused(&server.url("nowhere")).await;
    assert!(text.contains("there is no database `nowhere`") && text.contains("OWNER monitor"), "{text}");

    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    for (host, cause) in [(format!("127.0.0.1:{closed}"), "refused"), ("nowhere.invalid".to_owned(), "lookup")] {
        let text = refused(&format!("postgres://monitor:hunter2@{host}/monitor")).await;
        assert!(text.contains("cannot be reached") && text.contains(cause), "{text}");
    }
    let text = refused(&format!("{}?sslmode=require", server.url(&empty.name))).await;
    assert!(text.contains("cannot be encrypted") && text.contains("`sslmode`"), "{text}");
    let text = refused("postgres://:hunter2@/x?sslmode=on").await;
    assert!(text.contains("names no user; it names no host; its sslmode is none of"), "{text}");
}

/// Of an older server no test can have one; it is asked for its number in this way.
#[tokio::test]
async fn a_database_of_a_newer_version_and_one_of_another_encoding_are_refused() {
    let (home, database) = testing::postgres().await;
    database
        .tamper("INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time) VALUES (9999, 'later', TRUE, '', 0)")
        .await
        .unwrap();
    let text = refused(&Postgres::shared().url(&home.name())).await;
    assert!(text.contains("up to migration 9999 by a newer version"), "{text}");

    let server = Postgres::shared();
    server.sql("CREATE DATABASE latin TEMPLATE template0 ENCODING 'LATIN1' OWNER monitor").await;
    let text = refused(&server.url("latin")).await;
    assert!(text.contains("the encoding LATIN1, and UTF8 is needed"), "{text}");
}

#[tokio::test]
async fn a_role_that_did_not_make_the_tables_needs_rights_to_these_and_no_others() {
    let server = Postgres::shared();
    let (home, database) = testing::postgres().await;
    let url = server.url_of("guarded:hunter%202%25", &home.name());
    let text = refused(&url).await;
    assert!(text.contains("go on (permission denied for table _sqlx_migrations)"), "{text}");
    let grant = "GRANT SELECT ON _sqlx_migrations, audit TO guarded";
    database.tamper(grant).await.unwrap();
    let text = refused(&url).await;
    assert!(
        text.contains("may not DELETE, INSERT, SELECT, UPDATE on accounts; ")
            && text.contains("; DELETE, INSERT, UPDATE on audit; "),
        "{text}"
    );
    database.tamper("GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO guarded").await.unwrap();
    let guarded = Database::open(&url).await.unwrap();
    let entry = Entry { act: Actor::server().does(Action::Export), at: UnixMillis(1), occurrences: 1 };
    guarded.append_audit(&[entry]).await.unwrap();
    assert_eq!(testing::account(&guarded, "ann@x", crate::auth::Role::Admin).await, 1);
}

/// Four pools are four servers to PostgreSQL. (Processes that are killed meanwhile are in the integration tests.)
#[tokio::test(flavor = "multi_thread")]
async fn four_servers_write_one_chain() {
    const EACH: usize = 100;
    let (home, _first) = testing::postgres().await;
    let begun = Instant::now();
    let mut writers = Vec::new();
    for writer in 0..4 {
        let database = home.open().await;
        writers.push(tokio::spawn(async move {
            for number in 0..EACH {
                let act = Actor::server().does(Action::PageView).to(format!("{writer} {number}"));
                database.append_audit(&[Entry { act, at: UnixMillis(1), occurrences: 1 }]).await.unwrap();
            }
        }));
    }
    for writer in writers {
        writer.await.unwrap();
    }
    let rate = (4 * EACH) as f64 / begun.elapsed().as_secs_f64();
    println!("{rate:.0} records a second from four servers");
    let whole = verify(&home.open().await, &[]).await.unwrap().unwrap();
    assert_eq!(whole.records, 4 * EACH as u64);
}

/// Somebody with a shell of PostgreSQL's and all rights.
#[tokio::test]
async fn rules_that_are_missing_altered_or_added_are_found_and_hold_until_then() {
    let (home, database) = testing::postgres().await;
    for at in 0..5 {
        let entry = Entry { act: Actor::server().does(Action::Export), at: UnixMillis(at), occurrences: 1 };
        database.append_audit(&[entry]).await.unwrap();
    }
    let wrong = async || match verify(&database, &[]).await.unwrap() {
        Ok(_) => Vec::new(),
        Err(breaks) => breaks.iter().map(ToString::to_string).collect(),
    };
    assert_eq!(wrong().await, [""; 0]);
    for statement in [
        "UPDATE audit SET actor = 'nobody' WHERE seq = 2",
        "DELETE FROM audit WHERE seq = 3",
        "TRUNCATE audit",
        "INSERT INTO audit SELECT seq + 5, at_ms, actor, role, address, user_agent, action, target, outcome, reason, \
         occurrences, previous_hash, hash FROM audit WHERE seq = 1",
        "UPDATE audit_anchor SET pruned_through = 2, pruned_hash = decode(repeat('00', 32), 'hex')",
        "UPDATE audit_emitted SET through = 9",
        "DELETE FROM audit_anchor",
        "TRUNCATE audit_anchor, audit_emitted",
    ] {
        let error = database.tamper(statement).await.expect_err(statement).to_string();
        assert!(error.contains("audit"), "{statement}: {error}");
    }
    for (statement, found, back) in [
        (
            "ALTER TABLE audit DISABLE TRIGGER audit_is_not_changed",
            "the trigger audit_is_not_changed was altered",
            "ALTER TABLE audit ENABLE TRIGGER audit_is_not_changed",
        ),
        (
            "CREATE OR REPLACE FUNCTION audit_anchor_stays() RETURNS TRIGGER LANGUAGE plpgsql AS 'BEGIN RETURN OLD; END'",
            "the trigger audit_anchor_is_not_emptied was altered",
            "CREATE OR REPLACE FUNCTION audit_anchor_stays() RETURNS TRIGGER LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'the audit anchor stays';
END $$",
        ),
        (
            "CREATE RULE quiet AS ON INSERT TO audit DO INSTEAD NOTHING",
            "the rule quiet does not belong there",
            "DROP RULE quiet ON audit",
        ),
        ("DROP INDEX audit_at", "the index audit_at is missing", "CREATE INDEX audit_at ON audit (at_ms)"),
        ("ALTER TABLE audit ADD COLUMN note TEXT", "the table audit was altered", ""),
    ] {
        database.tamper(statement).await.expect(statement);
        assert_eq!(wrong().await.first().map(String::as_str), Some(found), "{statement}");
        database.tamper(back).await.unwrap();
    }
    drop(home);
}

/// A server that stands still in the middle of a change holds up nobody for long.
#[tokio::test]
async fn a_change_that_is_never_finished_is_ended_by_postgresql() {
    let (home, database) = testing::postgres().await;
    let forgotten = database.change().await.unwrap();
    let other = home.open().await;
    let begun = Instant::now();
    let mut tries = 0;
    while other.change().await.is_err() {
        tries += 1;
        assert!(tries < 5);
    }
    assert!(begun.elapsed().as_secs() < 8, "{:?}", begun.elapsed());
    assert!(forgotten.commit().await.is_err());
}

#[tokio::test]
async fn sizes_are_those_of_what_is_there() {
    let (_home, database) = testing::postgres().await;
    let sizes = async || {
        BTreeMap::from([
            ("audit", database.audit_bytes().await.unwrap()),
            ("history", database.history_bytes().await.unwrap()),
            ("all", database.bytes_used().await.unwrap()),
        ])
    };
    let empty = sizes().await;
    assert!(empty["history"] == 0 && empty["audit"] > 0 && empty["all"] > empty["audit"], "{empty:?}");
}
