use super::*;
use crate::{auth::testing, database::AuditFilter};

async fn records(database: &Database) -> Vec<AuditRecord> {
    database.audit_records(&AuditFilter::default(), 1_000).await.unwrap()
}

fn act() -> Act {
    Actor::server().does(Action::ConfigRefresh)
}

#[tokio::test]
async fn a_record_says_who_what_where_and_continues_the_chain() {
    let (_folder, database) = testing::database().await;
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
    let (folder, database) = testing::database().await;
    let other = testing::open(&folder).await;
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
    let (anchor, records) = database.audit_start(1_000).await.unwrap();
    let mut chain = Chain::new(anchor);
    records.iter().for_each(|record| chain.take(record).unwrap());
    assert_eq!(chain.end().unwrap().records, 100);
}

#[tokio::test]
async fn retention_deletes_the_old_says_so_and_the_rest_is_whole() {
    let (_folder, database) = testing::database().await;
    for day in 0..10_i64 {
        database.append_audit(&act(), UnixMillis(day * 86_400_000), 1).await.unwrap();
    }
    assert!(database.prune_audit(UnixMillis(0)).await.unwrap().is_none(), "nothing is so old");
    let record = database.prune_audit(UnixMillis(4 * 86_400_000)).await.unwrap().unwrap();
    assert_eq!((record.action.as_str(), record.target.as_deref()), ("audit_prune", Some("through 4")));
    assert!(database.prune_audit(UnixMillis(4 * 86_400_000)).await.unwrap().is_none(), "once");

    let (anchor, rest) = database.audit_start(1_000).await.unwrap();
    assert_eq!((anchor.pruned_through, rest.len(), rest[0].seq), (4, 7, 5));
    let mut chain = Chain::new(anchor);
    rest.iter().for_each(|record| chain.take(record).unwrap());
    assert_eq!(chain.end().unwrap().last, 11);

    // Everything may be old, the record of that excepted.
    database.prune_audit(UnixMillis(i64::MAX)).await.unwrap().unwrap();
    let audit = Audit::new(database.clone());
    audit.record(act()).await.unwrap();
    assert_eq!(records(&database).await.iter().map(|record| record.seq).collect::<Vec<_>>(), [13, 12]);
}

#[tokio::test]
async fn a_locked_database_refuses_the_act_and_a_free_one_takes_it() {
    let (folder, database) = testing::database().await;
    let audit = Audit::new(database.clone());
    let other = testing::open(&folder).await;
    let lock = other.change().await.unwrap();
    assert!(audit.record(act()).await.is_err());
    assert!(audit.record_often(act()).await.is_err());
    drop(lock);
    audit.record(act()).await.unwrap();
    audit.record_often(act()).await.unwrap();
    assert_eq!(records(&database).await.len(), 2, "what was refused is not on record");
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
    let (_folder, database) = testing::database().await;
    let audit = Audit::new(database.clone());
    for _ in 0..5 {
        audit.record_often(act()).await.unwrap();
    }
    assert_eq!(records(&database).await.len(), 1);
    let stop = CancellationToken::new();
    stop.cancel();
    audit.keep(400, stop).await;
    let counts: Vec<_> = records(&database).await.iter().map(|record| record.occurrences).collect();
    assert_eq!(counts, [4, 1], "the end of the server writes what it counted");
}

#[tokio::test]
async fn records_are_found_by_time_actor_action_outcome_and_address() {
    let (_folder, database) = testing::database().await;
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
        database.append_audit(act, UnixMillis(at * 1000), 1).await.unwrap();
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
