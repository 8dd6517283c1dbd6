//! The publisher's connection, and how it is asked.

use super::{ANSWER_TIMEOUT, Retry, address::RedisAddress, answered, fence::Call};
use app::model::time::UnixMillis;
use redis::{
    AsyncConnectionConfig, Pipeline, RedisResult, ServerError, ToSingleRedisArg, Value, aio::MultiplexedConnection,
};
use std::time::Duration;
use tokio::time::{sleep, timeout};

/// A new connection that is not answered for so long may be dead as well.
const PROBE_TIMEOUT: Duration = Duration::from_secs(10);

pub(super) struct Connection {
    pub(super) redis: MultiplexedConnection,
    /// By which Redis knows it, if it tells.
    pub(super) id: Option<i64>,
}

/// What a pipeline published.
#[derive(Clone, Copy)]
pub(super) enum What {
    Probe,
    Status,
    Ticks {
        first: u64,
        count: usize,
    },
    /// Frames with so many ticks in them.
    Frames {
        ticks: u64,
    },
}

/// A request that is under way.
#[derive(Clone, Copy)]
pub(super) struct Asked {
    pub(super) what: What,
    /// When it was sent. The answer may be read much later, on a machine with much to do.
    pub(super) at: UnixMillis,
}

/// What is asked of Redis in one go.
pub(super) enum Request {
    /// Commands of their own.
    Pipeline(Pipeline),
    /// One call under an epoch.
    Call(Call),
}

impl Request {
    /// One message more.
    pub(super) fn publish(&mut self, channel: &str, payload: impl ToSingleRedisArg) {
        match self {
            Self::Pipeline(pipeline) => drop(pipeline.publish(channel, payload)),
            Self::Call(call) => call.message(channel, payload),
        }
    }
}

pub(super) type Answer = (Asked, RedisResult<Vec<Value>>);

pub(super) async fn connect(address: &RedisAddress) -> RedisResult<Connection> {
    let config = AsyncConnectionConfig::new().set_connection_timeout(Some(ANSWER_TIMEOUT)).set_response_timeout(None);
    let client = address.client().await?;
    let mut redis = client.get_multiplexed_async_connection_with_config(&config).await?;
    let id = match answered(redis::cmd("CLIENT").arg("ID").query_async(&mut redis)).await {
        Ok(id) => Some(id),
        Err(error) if error.code().is_some() => None,
        Err(error) => return Err(error),
    };
    Ok(Connection { redis, id })
}

/// A new connection, once Redis answered on it whether it takes what is published. It answers when it goes on after a pause; the
/// old connection is then answered as well.
pub(super) async fn probe(address: RedisAddress, channel: String) -> RedisResult<Connection> {
    let asked = async {
        let mut connection = connect(&address).await?;
        match redis::cmd("PUBLISH").arg(channel).arg("").query_async::<Value>(&mut connection.redis).await {
            Err(error) if error.code().is_none() => Err(error),
            _ => Ok(connection),
        }
    };
    match timeout(PROBE_TIMEOUT, asked).await {
        Ok(Ok(connection)) => Ok(connection),
        Ok(Err(error)) => {
            sleep(Retry::LONGEST).await;
            Err(error)
        }
        Err(_) => Err(std::io::Error::from(std::io::ErrorKind::TimedOut).into()),
    }
}

/// Answers with one value for each command, or each message of a call.
pub(super) async fn ask(mut redis: MultiplexedConnection, asked: Asked, request: Request) -> Answer {
    let answer = match request {
        Request::Pipeline(pipeline) => {
            let count = pipeline.len();
            redis.send_packed_commands(&pipeline, 0, count).await
        }
        Request::Call(call) => call.ask(&mut redis).await,
    };
    (asked, answer)
}

pub(super) fn error_of(value: Option<&Value>) -> Option<&ServerError> {
    match value {
        Some(Value::ServerError(error)) => Some(error),
        _ => None,
    }
}
