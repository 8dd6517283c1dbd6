//! Two real Redis servers and a Sentinel that watches them.

use super::{RedisServer, eventually};

pub(crate) struct Watched {
    /// The master at first.
    pub(crate) first: RedisServer,
    pub(crate) second: RedisServer,
    pub(crate) sentinel: RedisServer,
    /// What a server has as its `REDIS_URL`.
    pub(crate) url: String,
}

impl Watched {
    pub(crate) async fn start() -> Self {
        let (first, second) = tokio::join!(RedisServer::start(), RedisServer::start());
        second.command(&format!("REPLICAOF 127.0.0.1 {}", first.port)).await.unwrap();
        eventually("the replica has what the master has", || async {
            let info: String = redis::from_redis_value(second.command("INFO replication").await.ok()?).ok()?;
            info.contains("master_link_status:up").then_some(())
        })
        .await;
        let sentinel = RedisServer::start_sentinel().await;
        let url = format!("redis+sentinel://127.0.0.1:{}/main", sentinel.port);
        let watched = Self { first, second, sentinel, url };
        watched.monitor(watched.first.port).await;
        watched
    }

    /// The Sentinel watches this one and whoever replicates it.
    pub(crate) async fn monitor(&self, port: u16) {
        let tell = async |words: &str| self.sentinel.command(words).await.unwrap();
        tell(&format!("SENTINEL MONITOR main 127.0.0.1 {port} 1")).await;
        tell("SENTINEL SET main down-after-milliseconds 500").await;
        tell("SENTINEL SET main failover-timeout 2000").await;
        eventually("the Sentinel knows the replica", || async {
            let info: String = redis::from_redis_value(self.sentinel.command("INFO sentinel").await.ok()?).ok()?;
            info.contains("status=ok").then_some(())?;
            info.contains("slaves=1").then_some(())
        })
        .await;
    }

    /// The port of the server that the Sentinel says is the master.
    pub(crate) async fn master(&self) -> u16 {
        let answer = self.sentinel.command("SENTINEL GET-MASTER-ADDR-BY-NAME main").await.unwrap();
        let (_, port): (String, u16) = redis::from_redis_value(answer).unwrap();
        port
    }

    /// The master becomes a replica, and the replica the master.
    pub(crate) async fn fail_over(&self) {
        let before = self.master().await;
        eventually("the Sentinel begins", || async { self.sentinel.command("SENTINEL FAILOVER main").await.ok() })
            .await;
        eventually("the master is another one", || async { (self.master().await != before).then_some(()) }).await;
    }
}
