//! Connections to Redis: one shared for commands, others for whoever blocks or listens.
//!
//! It connects when somebody needs it, again with growing pauses after a failure,
//! and waits for nothing without a limit. It knows nothing of what the keys mean;
//! the channel layer and the steps that set keys call it.

mod address;
mod cluster;

use std::{
    fmt,
    hash::{BuildHasher, RandomState},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use ::redis::{
    Client, Cmd, FromRedisValue, Pipeline, RedisError, ScriptInvocation, Value,
    aio::{MultiplexedConnection, PubSub},
};
use futures_util::future::BoxFuture;
use tokio::{
    sync::Semaphore,
    time::{Instant, timeout},
};

pub use address::{NotAServer, Sentinel, Server};

/// To reach a server, its Sentinel included, and to log in.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);

/// For the answer to one command or one pipeline.
const RESPONSE_TIMEOUT: Duration = Duration::from_secs(5);

/// The pause after the first failure is at most so long; it doubles with each more.
const FIRST_PAUSE: Duration = Duration::from_millis(100);

/// The longest pause between two attempts.
const LAST_PAUSE: Duration = Duration::from_secs(2);

/// Why Redis did not do what it was asked. It names the server without its secrets.
#[derive(Clone, Debug, thiserror::Error)]
#[error("redis at {server}: {why}")]
pub struct Failure {
    server: Arc<str>,
    why: Arc<str>,
    /// The connection is gone, as opposed to an answer that says no.
    pub lost: bool,
}

/// One Redis server, whichever a Sentinel calls the master, or the one in a Cluster that
/// has the keys.
pub struct Redis {
    server: Server,
    name: Arc<str>,
    state: Mutex<State>,
    /// One connects, the others wait for it.
    connecting: Semaphore,
}

#[derive(Default)]
struct State {
    shared: Option<MultiplexedConnection>,
    failures: u32,
    /// After a failure: when to try again, and what to say until then.
    pause: Option<(Instant, Failure)>,
}

impl Redis {
    /// Nothing is connected yet.
    pub fn new(server: Server) -> Arc<Self> {
        Arc::new(Self {
            name: server.to_string().into(),
            server,
            state: Mutex::default(),
            connecting: Semaphore::new(1),
        })
    }

    /// Where it is, without secrets.
    pub fn name(&self) -> &Arc<str> {
        &self.name
    }

    /// Sends one command that does not block.
    ///
    /// # Errors
    /// Redis is away, slow, or says no.
    pub async fn command<T: FromRedisValue>(&self, command: &Cmd) -> Result<T, Failure> {
        let mut connection = self.shared().await?;
        // Boxed: the library's futures are deep and large.
        let asked = Box::pin(async { command.query_async(&mut connection).await });
        self.answer(asked).await
    }

    /// Sends many commands at once; an error of one of them is its value.
    ///
    /// # Errors
    /// Redis is away, slow, or says no to the first that fails.
    pub async fn pipeline<T: FromRedisValue>(&self, pipeline: &Pipeline) -> Result<T, Failure> {
        let mut connection = self.shared().await?;
        let asked = Box::pin(async { pipeline.query_async(&mut connection).await });
        self.answer(asked).await
    }

    /// Runs a script, which the server learns when it does not know it.
    ///
    /// # Errors
    /// Redis is away, slow, or says no.
    pub async fn script<T: FromRedisValue + Send>(
        &self,
        call: &ScriptInvocation<'_>,
    ) -> Result<T, Failure> {
        let mut connection = self.shared().await?;
        // The type forgotten, too: the compiler would follow it through all who wait.
        let asked: BoxFuture<'_, _> = Box::pin(async { call.invoke_async(&mut connection).await });
        self.answer(asked).await
    }

    /// A connection of one's own, for a command that blocks: its answer is waited
    /// for without a limit, so that the caller sets one.
    ///
    /// # Errors
    /// Redis cannot be reached.
    pub async fn dedicated(&self) -> Result<MultiplexedConnection, Failure> {
        self.connect(|client| async move {
            let config = ::redis::AsyncConnectionConfig::new()
                .set_connection_timeout(Some(CONNECT_TIMEOUT))
                .set_response_timeout(None);
            let opened = client.get_multiplexed_async_connection_with_config(&config);
            let mut connection = opened.await?;
            // A server that wants a password, or is still loading, says so here.
            let answer = ::redis::cmd("PING").query_async(&mut connection).await;
            usable(answer)?;
            Ok(connection)
        })
        .await
    }

    /// A connection of one's own for subscriptions.
    ///
    /// # Errors
    /// Redis cannot be reached.
    pub async fn subscriber(&self) -> Result<PubSub, Failure> {
        self.connect(|client| async move {
            let mut connection = client.get_async_pubsub().await?;
            usable(connection.ping().await)?;
            Ok(connection)
        })
        .await
    }

    /// What an error of a connection of one's own means.
    pub fn failure(&self, error: &RedisError) -> Failure {
        let why = error.to_string();
        // A failover leaves us with a replica, a Cluster may have given our keys to
        // another: who has them is to be asked for anew.
        let moved = why.contains("ReadOnly") || error.code() == Some("MOVED");
        if moved {
            self.lock().shared = None;
        }
        let lost = error.is_io_error() || error.is_connection_dropped() || error.is_timeout();
        Failure {
            server: self.name.clone(),
            why: why.into(),
            lost: lost || moved,
        }
    }

    /// The server has closed the connection.
    pub fn ended(&self) -> Failure {
        Failure {
            server: self.name.clone(),
            why: "the connection was closed".into(),
            lost: true,
        }
    }

    /// The limit was reached.
    pub fn too_slow(&self, limit: Duration) -> Failure {
        Failure {
            server: self.name.clone(),
            why: format!("no answer within {limit:?}").into(),
            lost: true,
        }
    }

    async fn answer<T>(
        &self,
        asked: impl Future<Output = Result<T, RedisError>>,
    ) -> Result<T, Failure> {
        let failure = match timeout(RESPONSE_TIMEOUT, asked).await {
            Ok(Ok(value)) => return Ok(value),
            Ok(Err(error)) => self.failure(&error),
            Err(_) => self.too_slow(RESPONSE_TIMEOUT),
        };
        if failure.lost {
            self.lock().shared = None;
        }
        Err(failure)
    }

    async fn shared(&self) -> Result<MultiplexedConnection, Failure> {
        if let Some(shared) = self.lock().shared.clone() {
            return Ok(shared);
        }
        let Ok(_turn) = self.connecting.acquire().await else {
            return Err(self.too_slow(Duration::ZERO));
        };
        {
            let state = self.lock();
            if let Some(shared) = state.shared.clone() {
                return Ok(shared);
            }
            if let Some((until, failure)) = &state.pause
                && Instant::now() < *until
            {
                return Err(failure.clone());
            }
        }
        let shared = self.dedicated().await?;
        self.lock().shared = Some(shared.clone());
        Ok(shared)
    }

    /// Connects within the limit, and keeps count of failures.
    async fn connect<T, F>(&self, open: impl FnOnce(Client) -> F) -> Result<T, Failure>
    where
        F: Future<Output = Result<T, RedisError>>,
    {
        let opened = Box::pin(async { open(self.server.client().await?).await });
        let opened = timeout(CONNECT_TIMEOUT, opened);
        let failure = match opened.await {
            Ok(Ok(connection)) => {
                let mut state = self.lock();
                (state.failures, state.pause) = (0, None);
                return Ok(connection);
            }
            Ok(Err(error)) => self.failure(&error),
            Err(_) => self.too_slow(CONNECT_TIMEOUT),
        };
        let mut state = self.lock();
        let until = Instant::now() + pause(state.failures);
        state.failures = state.failures.saturating_add(1);
        state.pause = Some((until, failure.clone()));
        Err(failure)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Redis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Redis").field(&self.name).finish()
    }
}

/// Whether a connection is of use. One that may not even be asked that may still do
/// what it is for.
fn usable(answer: Result<Value, RedisError>) -> Result<(), RedisError> {
    let answer = answer.and_then(Value::extract_error);
    match answer {
        Err(error) if error.code() != Some("NOPERM") => Err(error),
        _ => Ok(()),
    }
}

/// How long to wait before trying again after so many failures in a row: longer with
/// each, and never the same for two processes.
pub fn pause(failures: u32) -> Duration {
    let most = FIRST_PAUSE.saturating_mul(1 << failures.min(8));
    let share = (random() >> 11) as f64 / (1_u64 << 53) as f64;
    most.min(LAST_PAUSE).mul_f64(0.5 + share / 2.0)
}

fn random() -> u64 {
    RandomState::new().hash_one(0)
}

/// `SET key value`, for `ttl` if there is one: a plain command for who has only that to say.
pub fn set(key: &str, value: &[u8], ttl: Option<Duration>) -> Cmd {
    let mut command = ::redis::cmd("SET");
    command.arg(key).arg(value);
    if let Some(ttl) = ttl {
        command
            .arg("PX")
            .arg(u64::try_from(ttl.as_millis()).unwrap_or(u64::MAX));
    }
    command
}

/// `DEL key`.
pub fn delete(key: &str) -> Cmd {
    let mut command = ::redis::cmd("DEL");
    command.arg(key);
    command
}

/// The bytes of a reply that is a string of some kind.
pub fn bytes(value: &Value) -> Option<&[u8]> {
    match value {
        Value::BulkString(bytes) => Some(bytes),
        Value::SimpleString(text) => Some(text.as_bytes()),
        _ => None,
    }
}
