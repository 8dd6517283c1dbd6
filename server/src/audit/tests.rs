use super::*;
use crate::{auth::testing, database::AuditFilter};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

async fn whole(database: &Database) -> Whole {
    verify(database, &[]).await.unwrap().unwrap()
}

/// What is wrong, a line each.
async fn wrong(database: &Database) -> Vec<String> {
    verify(database, &[]).await.unwrap().unwrap_err().iter().map(ToString::to_string).collect()
}

async fn records(database: &Database) -> Vec<AuditRecord> {
    database.audit_records(&AuditFilter::default(), 1_000).await.unwrap()
}

const KEPT: Retention = Retention { days: 400, bytes_max: u64::MAX };

async fn append(database: &Database, act: &AuditAct, at_ms: i64) {
    database.append_audit(&[Entry { act: act.clone(), at: UnixMillis(at_ms), occurrences: 1 }]).await.unwrap();
}

fn stranger(address: &str) -> Actor {
    Actor { address: Some(address.parse().unwrap()), ..Actor::default() }
}

fn act() -> AuditAct {
    Actor::server().does(Action::ConfigRefresh)
}

#[tokio::test]
async fn a_record_says_who_what_where_and_continues_the_chain() {
    for (_home, database) in testing::databases().await {
        let audit = Audit::new(database.clone());
        let ann = Actor {
            name: Some("ann@x".into()),
            role: Some(crate::auth::Role::Super),
            address: Some("192.0.2.7".parse().unwrap()),
            user_agent: Some("curl/8".into()),
        };
        audit.record(ann.does(Action::Export).to("audit")).await.unwrap();
        audit.record(ann.is_refused(Action::SocketOpen, "too many")).await.unwrap();
        let records = records(&database).await;
        let AuditRecord { seq, actor, role, address, user_agent, action, target, outcome, reason, .. } = &records[1];
        assert_eq!((*seq, action.as_str(), outcome.as_str(), reason), (1, "export", "ok", &None));
        let texts = [actor, role, address, user_agent, target].map(|text| text.as_deref().unwrap());
        assert_eq!(texts, ["ann@x", "super", "192.0.2.7", "curl/8", "audit"]);
        assert_eq!((records[0].outcome.as_str(), records[0].reason.as_deref()), ("refused", Some("too many")));
    }
}

#[tokio::test]
async fn records_can_be_neither_changed_nor_deleted_nor_put_in() {
    let (_folder, database) = testing::database().await;
    let audit = Audit::new(database.clone());
    for _ in 0..3 {
        audit.record(act()).await.unwrap();
    }
    for statement in [
        "UPDATE audit SET actor = 'nobody' WHERE seq = 2",
        "DELETE FROM audit WHERE seq = 3",
        "DELETE FROM audit",
        "INSERT OR REPLACE INTO audit SELECT * FROM audit WHERE seq = 2",
        "INSERT INTO audit SELECT seq + 3, at_ms, actor, role, address, user_agent, action, target, outcome, reason, \
         occurrences, previous_hash, hash FROM audit WHERE seq = 1",
        "UPDATE audit_anchor SET pruned_through = 2, pruned_hash = zeroblob(32)",
        "UPDATE audit_anchor SET pruned_through = 9",
        "DELETE FROM audit_anchor",
    ] {
        let error = database.tamper(statement).await.expect_err(statement).to_string();
        assert!(error.contains("audit"), "{statement}: {error}");
    }
    assert_eq!(records(&database).await.len(), 3);
}

#[tokio::test]
async fn writers_in_several_processes_make_one_chain() {
    for (home, database) in testing::databases().await {
        let other = home.open().await;
        let writing = [&database, &other].map(|database| {
            let audit = Audit::new(database.clone());
            tokio::spawn(async move {
                for _ in 0..50 {
                    audit.record(act()).await.unwrap();
                }
            })
        });
        for writer in writing {
            writer.await.unwrap();
        }
        assert_eq!(whole(&database).await.records, 100);
    }
}

#[tokio::test]
async fn retention_deletes_the_old_says_so_and_the_rest_is_whole() {
    for (_home, database) in testing::databases().await {
        for day in 0..10_i64 {
            append(&database, &act(), day * 86_400_000).await;
        }
        assert!(database.prune_audit(UnixMillis(0)).await.unwrap().is_none(), "nothing is so old");
        assert_eq!(database.prune_audit(UnixMillis(4 * 86_400_000)).await.unwrap(), Some(4));
        let record = &records(&database).await[0];
        assert_eq!((record.action.as_str(), record.target.as_deref()), ("audit_prune", Some("through 4")));
        assert!(database.prune_audit(UnixMillis(4 * 86_400_000)).await.unwrap().is_none(), "once");

        let left = whole(&database).await;
        assert_eq!((left.pruned_through, left.records, left.last), (4, 7, 11));

        // Everything may be old, the record of that excepted.
        database.prune_audit(UnixMillis(i64::MAX)).await.unwrap().unwrap();
        let audit = Audit::new(database.clone());
        audit.record(act()).await.unwrap();
        assert_eq!(records(&database).await.iter().map(|record| record.seq).collect::<Vec<_>>(), [13, 12]);
    }
}

#[tokio::test]
async fn a_locked_database_refuses_the_act_and_a_free_one_takes_it() {
    for (home, database) in testing::databases().await {
        let audit = Audit::new(database.clone());
        let other = home.open().await;
        let mut lock = other.lock().await;
        assert!(audit.record(act()).await.is_err());
        assert!(audit.record_often(act()).await.is_err());
        lock.release().await;
        audit.record(act()).await.unwrap();
        audit.record_often(act()).await.unwrap();
        assert_eq!(records(&database).await.len(), 2, "what was refused is not on record");
    }
}

#[tokio::test]
async fn a_full_disk_refuses_the_act() {
    let (_folder, database) = testing::database().await;
    let audit = Audit::new(database.clone());
    audit.record(act()).await.unwrap();
    database.limit_pages(0).await;
    let mut written = 0;
    // What is left of the last page takes a few.
    while audit.record(act().because("x".repeat(400))).await.is_ok() {
        written += 1;
        assert!(written < 1_000);
    }
    database.limit_pages(10_000).await;
    audit.record(act()).await.unwrap();
    assert_eq!(records(&database).await.len(), written + 2);
}

#[tokio::test]
async fn repetitions_are_written_with_their_count() {
    for (_home, database) in testing::databases().await {
        let audit = Audit::new(database.clone());
        for _ in 0..5 {
            audit.record_often(act()).await.unwrap();
        }
        assert_eq!(records(&database).await.len(), 1);
        let stop = CancellationToken::new();
        stop.cancel();
        audit.keep(KEPT, stop).await;
        let counts: Vec<_> = records(&database).await.iter().map(|record| record.occurrences).collect();
        assert_eq!(counts, [4, 1], "the end of the server writes what it counted");
    }
}

#[tokio::test]
async fn records_are_found_by_time_actor_action_outcome_and_address() {
    for (_home, database) in testing::databases().await {
        let from = |name: &str, address: &str| Actor {
            name: Some(name.into()),
            address: Some(address.parse().unwrap()),
            ..Actor::default()
        };
        let (ann, bob) = (from("ann@x", "192.0.2.1"), from("bob@x", "2001:db8::1"));
        let acts = [
            ann.does(Action::SignIn),
            bob.is_refused(Action::SignIn, "wrong"),
            ann.does(Action::Export),
            bob.does(Action::Export),
            ann.failed_at(Action::ConfigRefresh, "no file"),
        ];
        for (at, act) in (0..).zip(&acts) {
            append(&database, act, at * 1000).await;
        }
        let found = async |filter: AuditFilter, limit| -> Vec<i64> {
            database.audit_records(&filter, limit).await.unwrap().iter().map(|record| record.seq).collect()
        };
        let any = AuditFilter::default;
        assert_eq!(found(any(), 100).await, [5, 4, 3, 2, 1]);
        assert_eq!(found(any(), 2).await, [5, 4]);
        assert_eq!(found(AuditFilter { before: Some(4), ..any() }, 2).await, [3, 2]);
        assert_eq!(
            found(AuditFilter { from: Some(UnixMillis(1000)), to: Some(UnixMillis(3000)), ..any() }, 9).await,
            [3, 2]
        );
        assert_eq!(found(AuditFilter { actor: Some("bob@x".into()), ..any() }, 9).await, [4, 2]);
        assert_eq!(found(AuditFilter { action: Some(Action::Export), ..any() }, 9).await, [4, 3]);
        assert_eq!(found(AuditFilter { outcome: Some(Outcome::Refused), ..any() }, 9).await, [2]);
        assert_eq!(found(AuditFilter { address: Some("2001:db8::1".into()), ..any() }, 9).await, [4, 2]);
        let injection = AuditFilter { actor: Some("' OR 1=1 --".into()), ..any() };
        assert!(found(injection, 9).await.is_empty());
    }
}

#[tokio::test]
async fn a_strangers_refusal_waits_for_no_transaction_and_is_before_the_act_that_follows() {
    for (home, database) in testing::databases().await {
        let audit = Audit::new(database.clone());
        let other = home.open().await;
        let lock = other.change().await.unwrap();
        let refusals = async {
            for n in 0..1_000 {
                audit
                    .record_refusal(
                        stranger("192.0.2.7").is_refused(Action::ApiCall, "sign in first").to(n.to_string()),
                    )
                    .await;
            }
        };
        tokio::time::timeout(std::time::Duration::from_millis(500), refusals).await.expect("nobody waits for the lock");
        drop(lock);
        audit.record(act()).await.unwrap();
        let records = records(&database).await;
        assert_eq!((records.len(), records[0].action.as_str()), (21, "config_refresh"), "20 of them, and before it");

        audit.flush(UnixMillis(i64::MAX)).await;
        let count = &self::records(&database).await[0];
        assert_eq!((count.action.as_str(), count.occurrences), ("refusals_counted", 980));
        assert_eq!(count.reason.as_deref(), Some("too many to record one by one: 980 api_call of 192.0.2.7"));
        assert_eq!(audit.unrecorded_total(), 980);
    }
}

#[tokio::test]
async fn an_act_that_is_given_up_takes_no_refusal_along() {
    for (home, database) in testing::databases().await {
        let audit = Audit::new(database.clone());
        audit.record_refusal(stranger("192.0.2.7").is_refused(Action::ApiCall, "sign in first")).await;
        let other = home.open().await;
        let lock = other.change().await.unwrap();
        let soon = std::time::Duration::from_millis(50);
        assert!(
            tokio::time::timeout(soon, audit.record(act())).await.is_err(),
            "it waits for the lock, and nobody waits for it"
        );
        drop(lock);
        audit.record(act()).await.unwrap();
        assert!(records(&database).await.iter().any(|record| record.action == "api_call"));
    }
}

/// A log with five records, and somebody with the file and a SQLite shell who has switched the table's rules off.
async fn unguarded() -> (tempfile::TempDir, Database) {
    let (folder, database) = testing::database().await;
    for at in 0..5 {
        append(&database, &act(), at).await;
    }
    for trigger in ["audit_continues", "audit_is_not_changed", "audit_is_not_deleted", "audit_anchor_goes_forward"] {
        database.tamper(&format!("DROP TRIGGER {trigger}")).await.unwrap();
    }
    (folder, database)
}

/// Puts the triggers back as they were: the schema shows nothing any more.
async fn put_back(database: &Database) {
    let sql = include_str!("../../migrations/sqlite/0002_security.sql");
    for trigger in ["audit_continues", "audit_is_not_changed", "audit_is_not_deleted", "audit_anchor_goes_forward"] {
        let start = sql.find(&format!("CREATE TRIGGER {trigger} ")).unwrap();
        let end = start + sql[start..].find("END;").unwrap() + "END".len();
        database.tamper(&sql[start..end]).await.unwrap();
    }
}

#[tokio::test]
async fn rules_that_are_missing_altered_or_added_are_found() {
    let (_folder, database) = unguarded().await;
    assert_eq!(
        wrong(&database).await,
        [
            "the trigger audit_anchor_goes_forward is missing",
            "the trigger audit_continues is missing",
            "the trigger audit_is_not_changed is missing",
            "the trigger audit_is_not_deleted is missing"
        ]
    );
    put_back(&database).await;
    whole(&database).await;
    database.tamper("CREATE TRIGGER quiet AFTER INSERT ON history_runs BEGIN SELECT 1; END").await.unwrap();
    assert_eq!(wrong(&database).await, ["the trigger quiet does not belong there"]);
    database.tamper("DROP TRIGGER quiet").await.unwrap();
    database.tamper("ALTER TABLE audit ADD COLUMN note TEXT").await.unwrap();
    assert_eq!(wrong(&database).await, ["the table audit was altered"]);
    database.tamper("DROP TABLE audit_anchor").await.unwrap();
    assert!(wrong(&database).await.contains(&"the table audit_anchor is missing".to_owned()));
}

#[tokio::test]
async fn what_the_tables_rules_should_have_kept_out_is_found_when_they_are_back_too() {
    const FORGED: &str = "at_ms, actor, role, address, user_agent, action, target, outcome, reason, occurrences, \
                          previous_hash, hash FROM audit WHERE seq = 1";
    for (tampering, expected) in [
        (format!("INSERT INTO audit SELECT 0, {FORGED}"), "record 0 was inserted: the chain begins after it"),
        (format!("INSERT INTO audit SELECT -5, {FORGED}"), "record -5 was inserted: the chain begins after it"),
        (format!("INSERT INTO audit SELECT 6, {FORGED}"), "record 6 is out of order: it was written as record 1"),
        (
            "UPDATE audit SET seq = CASE seq WHEN 3 THEN -4 ELSE -3 END WHERE seq IN (3, 4); \
             UPDATE audit SET seq = -seq WHERE seq < 0"
                .to_owned(),
            "record 3 is out of order: it was written as record 4",
        ),
        (format!("INSERT INTO audit SELECT 9, {FORGED}"), "record 6 is missing: the next one is 9"),
        ("DELETE FROM audit WHERE seq = 3".to_owned(), "record 3 is missing: the next one is 4"),
        ("DELETE FROM audit WHERE seq < 3".to_owned(), "record 1 is missing: the next one is 3"),
        ("UPDATE audit SET at_ms = 7 WHERE seq = 5".to_owned(), "record 5 or one before it was changed"),
        (
            "UPDATE audit SET action = CAST(action AS BLOB) WHERE seq = 2".to_owned(),
            "record 2 or one before it was changed",
        ),
        ("UPDATE audit SET at_ms = 0.5 WHERE seq = 1".to_owned(), "record 1 or one before it was changed"),
        (
            "UPDATE audit SET reason = CAST(x'ff' AS TEXT) WHERE seq = 5".to_owned(),
            "record 5 or one before it was changed",
        ),
        (
            "UPDATE audit SET previous_hash = zeroblob(32) WHERE seq = 4".to_owned(),
            "record 4 or one before it was changed",
        ),
        (
            "UPDATE audit_anchor SET pruned_hash = (SELECT hash FROM audit WHERE seq = 2)".to_owned(),
            "record 1 or one before it was changed",
        ),
        (
            "UPDATE audit_anchor SET pruned_through = 2, pruned_hash = (SELECT hash FROM audit WHERE seq = 2)"
                .to_owned(),
            "record 1 was inserted: the chain begins after it",
        ),
        (
            "UPDATE audit_anchor SET pruned_hash = 'x'".to_owned(),
            "the table audit_anchor, which says where the chain begins, was changed",
        ),
    ] {
        let (_folder, database) = unguarded().await;
        database.tamper(&tampering).await.expect(&tampering);
        put_back(&database).await;
        let found = wrong(&database).await;
        assert_eq!(found[0], expected, "{tampering}: {found:?}");
    }
}

#[tokio::test]
async fn a_cut_end_is_found_by_what_was_written_out_or_is_known_and_by_nothing_else() {
    let (_folder, database) = unguarded().await;
    let known = (5, records(&database).await[0].hash.clone());
    database.tamper("DELETE FROM audit WHERE seq = 5").await.unwrap();
    put_back(&database).await;
    assert_eq!(whole(&database).await.records, 4, "nobody can see it from here");
    let broken = verify(&database, &[known]).await.unwrap().unwrap_err();
    assert_eq!(broken, [Break::Gone(5)]);

    let (_folder, database) = unguarded().await;
    database.mark_audit_emitted(5).await.unwrap();
    database.tamper("DELETE FROM audit WHERE seq = 5").await.unwrap();
    put_back(&database).await;
    assert_eq!(wrong(&database).await, ["record 5 existed and is missing at the end"]);
}

#[tokio::test]
async fn a_log_is_proved_whole_while_it_is_written_and_pruned() {
    for (home, database) in testing::databases().await {
        let entries: Vec<_> = (0..3_000).map(|at| Entry { act: act(), at: UnixMillis(at), occurrences: 1 }).collect();
        database.append_audit(&entries).await.unwrap();
        let other = home.open().await;
        let is_proved = Arc::new(AtomicBool::new(false));
        let is_over = Arc::clone(&is_proved);
        let pruning = tokio::spawn(async move {
            let mut at = 0;
            // To the end, and for as long as it is being proved.
            while at < 2_900 || !is_over.load(Relaxed) {
                at = (at + 100).min(2_900);
                other.prune_audit(UnixMillis(at)).await.unwrap();
            }
        });
        for _ in 0..3 {
            whole(&database).await;
        }
        is_proved.store(true, Relaxed);
        pruning.await.unwrap();
        assert!(whole(&database).await.pruned_through > 0);
    }
}

#[tokio::test]
async fn a_log_over_its_size_says_so_and_loses_nothing_of_administrators() {
    let (_folder, database) = testing::database().await;
    let audit = Audit::new(database.clone());
    assert_eq!(audit.size().alarm(), None, "before the first look");
    let bytes = database.audit_bytes().await.unwrap();
    assert!(bytes >= 3 * 4096, "a table and two indexes: {bytes}");
    audit.measured(bytes, bytes);
    assert_eq!(audit.size().alarm(), None);
    audit.measured(bytes, bytes - 1);
    assert!(audit.size().alarm().unwrap().contains("AUDIT_SIZE_MAX_MB"));
    audit.record_refusal(stranger("192.0.2.7").is_refused(Action::ApiCall, "sign in first")).await;
    let ann = Actor { name: Some("ann@x".into()), ..Actor::default() };
    audit.record_refusal(ann.is_refused(Action::ApiCall, "too often")).await;
    audit.record(ann.does(Action::Export)).await.unwrap();
    audit.flush(UnixMillis(i64::MAX)).await;
    let actions: Vec<_> = records(&database).await.into_iter().map(|record| record.action).collect();
    assert_eq!(actions, ["refusals_counted", "export", "api_call"]);
}

/// Two servers that read the same last record, and a table that gave both of them a place: no lock, no trigger.
#[tokio::test]
async fn a_log_that_was_forked_is_found() {
    let (_folder, database) = unguarded().await;
    let fifth = records(&database).await.remove(0);
    let previous = records(&database).await[1].hash.clone();
    let previous: Vec<u8> = (0..32).map(|at| u8::from_str_radix(&previous[2 * at..2 * at + 2], 16).unwrap()).collect();
    let previous: crate::audit::Hash = previous.try_into().unwrap();
    let other = app::model::audit::AuditRecord { seq: 6, ..fifth };
    let hash = crate::model::Hex(&crate::audit::hash(&other, &previous)).to_string();
    let fork = format!(
        "INSERT INTO audit SELECT 6, at_ms, actor, role, address, user_agent, action, target, outcome, reason, occurrences, \
         previous_hash, x'{hash}' FROM audit WHERE seq = 5"
    );
    database.tamper(&fork).await.unwrap();
    put_back(&database).await;
    let found = wrong(&database).await;
    assert_eq!(found[0], "the log was forked: record 6 continues record 4, as another record does");
}
