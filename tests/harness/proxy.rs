//! A network that does what networks do: it is slow, it stands still, it breaks.

use std::sync::Arc;
use std::time::Duration;

use pgdeltastream::cluster::Cluster;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// Stands between two that talk over TCP.
pub struct Proxy {
    port: u16,
    weather: Arc<watch::Sender<Weather>>,
}

#[derive(Clone)]
struct Weather {
    /// Where new connections lead to: `host:port`.
    target: String,
    /// Connections of an earlier one are cut.
    epoch: u64,
    /// Those of an earlier one carry nothing any more.
    age: u64,
    is_stalled: bool,
    is_refusing: bool,
    bytes_per_second: Option<usize>,
}

impl Proxy {
    /// On the way to a throwaway server.
    pub async fn to_cluster(cluster: &Cluster) -> Self {
        Self::to(address_of(cluster)).await
    }

    /// On the way to `host:port`.
    pub async fn to(target: String) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let weather = Weather { target, epoch: 0, age: 0, is_stalled: false, is_refusing: false, bytes_per_second: None };
        let weather = Arc::new(watch::Sender::new(weather));
        let seen = weather.subscribe();
        #[expect(clippy::disallowed_methods, reason = "it ends with the proxy")]
        tokio::spawn(accept(listener, seen));
        Self { port, weather }
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    /// Cuts all connections, without a good-bye.
    pub fn cut(&self) {
        self.weather.send_modify(|weather| weather.epoch += 1);
    }

    /// Nothing comes through any more, and nobody is told.
    pub fn stall(&self) {
        self.weather.send_modify(|weather| weather.is_stalled = true);
    }

    /// Nothing comes through the connections that there are, for ever, and nobody is told. New ones work.
    pub fn hang(&self) {
        self.weather.send_modify(|weather| weather.age += 1);
    }

    /// New connections are closed at once.
    pub fn refuse(&self) {
        self.weather.send_modify(|weather| weather.is_refusing = true);
    }

    pub fn slow(&self, bytes_per_second: usize) {
        self.weather.send_modify(|weather| weather.bytes_per_second = Some(bytes_per_second));
    }

    /// All is well again.
    pub fn heal(&self) {
        self.weather.send_modify(|weather| {
            (weather.is_stalled, weather.is_refusing, weather.bytes_per_second) = (false, false, None);
        });
    }

    /// New connections lead elsewhere: `host:port`.
    pub fn lead_to(&self, target: String) {
        self.weather.send_modify(|weather| weather.target = target);
    }
}

fn address_of(cluster: &Cluster) -> String {
    format!("{}:{}", cluster.host(), cluster.port())
}

/// Ends with its proxy.
async fn accept(listener: TcpListener, mut weather: watch::Receiver<Weather>) {
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                let near = accepted.unwrap().0;
                if !weather.borrow().is_refusing {
                    #[expect(clippy::disallowed_methods, reason = "it ends with its connection")]
                    tokio::spawn(connect(near, weather.clone()));
                }
            }
            changed = weather.changed() => if changed.is_err() { return },
        }
    }
}

async fn connect(near: TcpStream, weather: watch::Receiver<Weather>) {
    let Weather { target, epoch, age, .. } = weather.borrow().clone();
    near.set_nodelay(true).unwrap();
    // A cut is a reset: what was on its way is lost.
    near.set_zero_linger().unwrap();
    let Ok(far) = TcpStream::connect(target).await else { return };
    far.set_nodelay(true).unwrap();
    let (from_near, to_near) = near.into_split();
    let (from_far, to_far) = far.into_split();
    let mut cut = weather.clone();
    tokio::select! {
        _ = cut.wait_for(|weather| weather.epoch > epoch) => {}
        ((), ()) = async { tokio::join!(carry(from_near, to_far, weather.clone(), age), carry(from_far, to_near, weather, age)) } => {}
    }
}

async fn carry(mut from: impl AsyncRead + Unpin, mut to: impl AsyncWrite + Unpin, mut weather: watch::Receiver<Weather>, age: u64) {
    let mut bytes = vec![0; 64 * 1024];
    loop {
        let may_carry = |weather: &Weather| !weather.is_stalled && weather.age == age;
        let Ok(now) = weather.wait_for(may_carry).await.map(|weather| weather.clone()) else { return };
        let limit = now.bytes_per_second.map_or(bytes.len(), |limit| (limit / 20).clamp(1, bytes.len()));
        let Ok(count) = from.read(&mut bytes[..limit]).await else { return };
        // What was read on the way into a standstill waits there too.
        if weather.wait_for(may_carry).await.is_err() {
            return;
        }
        if now.bytes_per_second.is_some() {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        if count == 0 {
            let _ = to.shutdown().await;
            return;
        }
        if to.write_all(&bytes[..count]).await.is_err() {
            return;
        }
    }
}
