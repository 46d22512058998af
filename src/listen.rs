//! Takes the address that the service listens on.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use socket2::{SockRef, TcpKeepalive};
use tokio::net::{TcpListener, TcpSocket, lookup_host};

/// Connections that may wait until they are accepted.
const BACKLOG: u32 = 1024;

/// The system counts these in seconds.
const LEAST: Duration = Duration::from_secs(1);

/// The address cannot be listened on.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    /// Somebody else listens there.
    #[error("port {port} of {host} is taken: end what listens there, or choose another port with --serverPort (SERVERPORT)")]
    Taken {
        /// The host that was asked for.
        host: String,
        /// The port that was asked for.
        port: u16,
    },
    /// It is no address of this machine, or not allowed.
    #[error("cannot listen on port {port} of {host} (--serverHost, --serverPort)")]
    Refused {
        /// The host that was asked for.
        host: String,
        /// The port that was asked for.
        port: u16,
        /// What the system says.
        source: io::Error,
    },
}

/// Listens on the first address of the host that can be had; connections wait until they are accepted.
///
/// A client that has taken nothing for as long as `patience` is cut off.
///
/// IPv4 comes first, as it did in the original: a client that was told `127.0.0.1` finds what listens on `localhost`.
pub async fn listen(host: &str, port: u16, patience: Duration) -> Result<TcpListener, ListenError> {
    bind(host, port, patience).await.map_err(|source| match source.kind() {
        io::ErrorKind::AddrInUse => ListenError::Taken { host: host.to_owned(), port },
        _ => ListenError::Refused { host: host.to_owned(), port, source },
    })
}

async fn bind(host: &str, port: u16, patience: Duration) -> io::Result<TcpListener> {
    let mut addresses: Vec<SocketAddr> = lookup_host((host, port)).await?.collect();
    addresses.sort_by_key(SocketAddr::is_ipv6);
    let mut refused = io::Error::from(io::ErrorKind::AddrNotAvailable);
    for address in addresses {
        match bind_to(address, patience) {
            Ok(listener) => return Ok(listener),
            Err(error) => refused = error,
        }
    }
    Err(refused)
}

fn bind_to(address: SocketAddr, patience: Duration) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    socket.set_reuseaddr(true)?;
    // Every connection inherits these: a change is not to wait for the next one, and a client that is gone is to be noticed, by what is sent to
    // it and while there is nothing to send.
    socket.set_nodelay(true)?;
    let (time, interval) = ((patience / 2).max(LEAST), (patience / 6).max(LEAST));
    SockRef::from(&socket).set_tcp_keepalive(&TcpKeepalive::new().with_time(time).with_interval(interval).with_retries(3))?;
    #[cfg(any(target_os = "linux", target_os = "android"))]
    SockRef::from(&socket).set_tcp_user_timeout(Some(patience))?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

/// Where to connect to for a service that listens here: "every address" is none that one can connect to.
pub fn reachable(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, address.port())
}

/// The host to name to others for a service that listens on this one.
pub fn reachable_host(host: &str) -> &str {
    if host.parse::<IpAddr>().is_ok_and(|ip| ip.is_unspecified()) { "localhost" } else { host }
}

/// `host:port` as it stands in the URL of a service that listens there.
pub fn authority(host: &str, port: u16) -> String {
    match reachable_host(host) {
        host if host.contains(':') => format!("[{host}]:{port}"),
        host => format!("{host}:{port}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATIENCE: Duration = Duration::from_secs(60);

    #[tokio::test]
    async fn localhost_is_ipv4_first() {
        let listener = listen("localhost", 0, PATIENCE).await.unwrap();
        assert!(listener.local_addr().unwrap().is_ipv4());
    }

    #[tokio::test]
    async fn a_taken_port_is_named() {
        let port = listen("127.0.0.1", 0, PATIENCE).await.unwrap().local_addr().unwrap().port();
        let _first = listen("127.0.0.1", port, PATIENCE).await.unwrap();
        let error = listen("127.0.0.1", port, PATIENCE).await.unwrap_err();
        assert!(error.to_string().starts_with(&format!("port {port} of 127.0.0.1 is taken")), "{error}");
    }

    #[tokio::test]
    async fn an_address_of_another_machine_is_refused() {
        assert!(matches!(listen("192.0.2.1", 0, PATIENCE).await, Err(ListenError::Refused { .. })));
    }

    #[test]
    fn every_address_is_reached_at_the_local_one() {
        assert_eq!(reachable("0.0.0.0:80".parse().unwrap()).to_string(), "127.0.0.1:80");
        assert_eq!(reachable("[::]:80".parse().unwrap()).to_string(), "[::1]:80");
        assert_eq!(reachable("192.0.2.1:80".parse().unwrap()).to_string(), "192.0.2.1:80");
        for (host, expected) in [("0.0.0.0", "localhost:80"), ("::", "localhost:80"), ("::1", "[::1]:80"), ("db", "db:80")] {
            assert_eq!(authority(host, 80), expected);
        }
    }
}
