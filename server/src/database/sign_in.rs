//! What is known of an attempt to sign in before the password is looked at.

use super::{
    Change, Database, QueryError,
    pool::{on, run},
};
use crate::model::Email;
use app::model::time::UnixMillis;
use hmac::{Hmac, Mac};
use sha2::Sha256;
use std::{fmt::Write, net::IpAddr};

/// How long a network stays known without a sign-in.
const KNOWN_DAYS: i64 = 180;
/// How many networks of an account are known; beyond that those go where it was not signed in with for the longest time.
const KNOWN_MAX: i64 = 100;
/// As much of a hash as tells repetitions apart.
const PSEUDONYM_BYTES: usize = 6;

/// Whom somebody tries to sign in as.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attempted {
    /// What may be put on record: the email of an account, and a hash of anything else.
    pub name: String,
    /// Was the account signed in with from this network before?
    pub from_known_network: bool,
}

impl Database {
    /// Looks up what was typed as an email. The work is the same whether there is such an account or not.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn attempted(&self, typed: &str, network: IpAddr, now: UnixMillis) -> Result<Attempted, QueryError> {
        let email = typed.trim().to_lowercase();
        let query = "SELECT key, EXISTS (SELECT 1 FROM accounts WHERE email = $1), \
                     EXISTS (SELECT 1 FROM known_networks n JOIN accounts a ON a.id = n.account_id \
                     WHERE a.email = $1 AND n.network = $2 AND n.signed_in_at_ms > $3) FROM record_key";
        let (key, is_account, from_known_network): (Vec<u8>, bool, bool) = on!(&self.pool, db => sqlx::query_as(query)
            .bind(&email)
            .bind(network.to_string())
            .bind(known_since(now))
            .fetch_one(db))?;
        let pseudonym = pseudonym(&key, &email);
        Ok(Attempted { name: if is_account { email } else { pseudonym }, from_known_network })
    }

    /// The account was signed in with from this network.
    ///
    /// # Errors
    /// When the database does not answer.
    pub(super) async fn note_network(
        &self,
        account_id: i64,
        network: IpAddr,
        now: UnixMillis,
    ) -> Result<(), QueryError> {
        let noted = "INSERT INTO known_networks (account_id, network, signed_in_at_ms) VALUES ($1, $2, $3) \
                     ON CONFLICT (account_id, network) DO UPDATE SET signed_in_at_ms = excluded.signed_in_at_ms";
        run!(&self.pool, sqlx::query(noted).bind(account_id).bind(network.to_string()).bind(now.0))?;
        let old = "DELETE FROM known_networks WHERE account_id = $1 AND (signed_in_at_ms <= $2 OR network NOT IN (\
                   SELECT network FROM known_networks WHERE account_id = $1 ORDER BY signed_in_at_ms DESC LIMIT $3))";
        run!(&self.pool, sqlx::query(old).bind(account_id).bind(known_since(now)).bind(KNOWN_MAX))?;
        Ok(())
    }
}

impl Change {
    /// No network of an account is known any more: whoever had its password may be among them.
    pub(super) async fn forget_networks(&mut self, email: &Email) -> Result<(), QueryError> {
        let query = "DELETE FROM known_networks WHERE account_id = (SELECT id FROM accounts WHERE email = $1)";
        run!(self.tx.connection(), sqlx::query(query).bind(email.as_str()))?;
        Ok(())
    }
}

fn known_since(now: UnixMillis) -> i64 {
    now.0 - KNOWN_DAYS * 86_400_000
}

/// Stands on record for what is no account's email, and may be a password that was typed into the wrong field. The same text is
/// the same word; who has no key learns nothing from it, and who has it can only try texts.
fn pseudonym(key: &[u8], text: &str) -> String {
    let mut word = "unknown #".to_owned();
    if let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(key) {
        mac.update(text.as_bytes());
        for byte in &mac.finalize().into_bytes()[..PSEUDONYM_BYTES] {
            let _ = write!(word, "{byte:02x}");
        }
    }
    word
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        audit::Actor,
        auth::{Role, hash_password, testing},
    };
    use tower_sessions::session::Id;

    const HOME: &str = "192.0.2.1";

    fn network(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    const NOW: UnixMillis = UnixMillis(1_769_007_600_000);

    async fn is_known(database: &Database, from: &str) -> bool {
        is_known_at(database, from, NOW).await
    }

    async fn is_known_at(database: &Database, from: &str, now: UnixMillis) -> bool {
        database.attempted("ann@x", network(from), now).await.unwrap().from_known_network
    }

    async fn signs_in(database: &Database, id: i64, from: &str) {
        let actor = Actor { address: Some(network(from)), ..Actor::default() };
        database.session_started(&Id::default(), id, &actor, NOW).await.unwrap();
    }

    #[tokio::test]
    async fn only_an_account_s_email_is_named_and_the_rest_is_a_hash_that_repeats() {
        let (_folder, database) = testing::database().await;
        testing::account(&database, "ann@x", Role::Admin).await;
        let name =
            async |database: &Database, typed: &str| database.attempted(typed, network(HOME), NOW).await.unwrap().name;
        assert_eq!(name(&database, " Ann@X ").await, "ann@x");
        for typed in ["bob@x", "correct horse battery", "P@ssw0rd-of-ann", ""] {
            let said = name(&database, typed).await;
            let hash = said.strip_prefix("unknown #").expect("a hash");
            assert!(hash.len() == 12 && hash.bytes().all(|byte| byte.is_ascii_hexdigit()), "{said}");
            assert_eq!(name(&database, typed).await, said, "the same again");
        }
        assert_ne!(name(&database, "bob@x").await, name(&database, "eve@x").await);
        let (_other_folder, other) = testing::database().await;
        assert_ne!(name(&database, "bob@x").await, name(&other, "bob@x").await, "a key for each installation");
        // An account that was disabled is still one.
        testing::set_disabled(&database, &"ann@x".parse().unwrap(), true).await;
        assert_eq!(name(&database, "ann@x").await, "ann@x");
    }

    #[tokio::test]
    async fn a_network_is_known_by_a_sign_in_until_the_password_changes_or_long_after() {
        for (_home, database) in testing::databases().await {
            let id = testing::account(&database, "ann@x", Role::Admin).await;
            let email: Email = "ann@x".parse().unwrap();
            assert!(!is_known(&database, HOME).await);
            signs_in(&database, id, HOME).await;
            signs_in(&database, id, "2001:db8:1:2:3:4:5:6").await;
            assert!(is_known(&database, HOME).await && is_known(&database, "2001:db8:1:2::").await);
            assert!(!is_known(&database, "192.0.2.2").await);
            assert!(
                !database.attempted("bob@x", network(HOME), NOW).await.unwrap().from_known_network,
                "another account"
            );

            let hash = hash_password("another password".into()).await.unwrap();
            testing::set_password_hash(&database, &email, &hash).await;
            assert!(!is_known(&database, HOME).await, "whoever had the old one may have been there");
            signs_in(&database, id, HOME).await;
            testing::set_disabled(&database, &email, true).await;
            assert!(!is_known(&database, HOME).await);

            signs_in(&database, id, HOME).await;
            let after_days = |days: i64| UnixMillis(NOW.0 + days * 86_400_000);
            assert!(is_known_at(&database, HOME, after_days(179)).await);
            assert!(!is_known_at(&database, HOME, after_days(180)).await);
            for n in 0..KNOWN_MAX + 20 {
                signs_in(&database, id, &format!("198.51.{}.{}", n / 100, n % 100)).await;
            }
            let kept = database.number("SELECT COUNT(*) FROM known_networks").await;
            assert_eq!(kept, KNOWN_MAX);
        }
    }
}
