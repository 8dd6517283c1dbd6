//! Where Redis is: at an address, or where the Sentinels say.

use super::{client, sentinel::Sentinels};
use redis::{Client, IntoConnectionInfo, RedisResult, ServerError};
use std::sync::Arc;

/// Asked before every new connection. Cheap to clone; the clones know of the same fail-overs.
#[derive(Clone, Debug)]
pub(crate) enum RedisAddress {
    /// Always the same server.
    Fixed(Box<Client>),
    /// Whichever of several is the master.
    Sentinels(Arc<Sentinels>),
}

impl RedisAddress {
    /// Nothing is connected yet.
    ///
    /// # Errors
    /// What of the address cannot be understood; never a part of it that may be secret.
    pub(crate) fn parse(url: &str) -> Result<Self, String> {
        if let Some(rest) = url.strip_prefix("redis+sentinel://") {
            return Ok(Self::Sentinels(Arc::new(Sentinels::parse(rest)?)));
        }
        let client = url.into_connection_info().and_then(client);
        client.map(|client| Self::Fixed(Box::new(client))).map_err(|error| error.category().to_owned())
    }

    /// The server as it is now: with Sentinels, they are asked for the master.
    ///
    /// # Errors
    /// Why there is none. [`words`](super::words) says it.
    pub(crate) async fn client(&self) -> RedisResult<Client> {
        match self {
            Self::Fixed(client) => Ok((**client).clone()),
            Self::Sentinels(sentinels) => sentinels.master().await,
        }
    }

    /// May another server be the one that counts, from one moment to the next?
    pub(super) fn moves(&self) -> bool {
        matches!(self, Self::Sentinels(_))
    }

    /// Was it refused because its server is the master no more?
    pub(super) fn is_demoted(&self, error: &ServerError) -> bool {
        self.moves() && error.code() == "READONLY"
    }

    /// A future that resolves when another server is known to be the master than at this call.
    pub(super) fn moved(&self) -> impl Future<Output = ()> + Send + use<> {
        let master = match self {
            Self::Fixed(_) => None,
            Self::Sentinels(sentinels) => Some(sentinels.known()),
        };
        async move {
            if let Some(mut master) = master
                && master.changed().await.is_ok()
            {
                return;
            }
            std::future::pending::<()>().await;
        }
    }
}
