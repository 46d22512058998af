//! The opening of a websocket: who asks for one in the terms of RFC 6455 is answered in them, and the connection is theirs.

use std::convert::Infallible;

use headers::{Connection, HeaderMapExt, SecWebsocketAccept, SecWebsocketKey, SecWebsocketVersion, Upgrade};
use hyper::upgrade::{OnUpgrade, Upgraded};
use warp::Filter;
use warp::http::{HeaderMap, StatusCode, header};
use warp::reply::{Reply, Response};

/// A client that asks for a websocket.
pub(super) struct Handshake {
    key: SecWebsocketKey,
    upgrade: OnUpgrade,
}

/// None where the client asks for something else.
pub(super) fn handshake() -> impl Filter<Extract = (Option<Handshake>,), Error = Infallible> + Clone {
    warp::header::headers_cloned().and(warp::ext::optional()).map(|headers: HeaderMap, upgrade: Option<OnUpgrade>| {
        let key = key(&headers)?;
        Some(Handshake { key, upgrade: upgrade? })
    })
}

fn key(headers: &HeaderMap) -> Option<SecWebsocketKey> {
    let upgrade = headers.get_all(header::UPGRADE).into_iter().filter_map(|value| value.to_str().ok());
    let is_wanted = headers.typed_get::<Connection>()?.contains("upgrade")
        && upgrade.flat_map(|value| value.split(',')).any(|protocol| protocol.trim().eq_ignore_ascii_case("websocket"))
        && headers.typed_get::<SecWebsocketVersion>()? == SecWebsocketVersion::V13;
    if is_wanted { headers.typed_get() } else { None }
}

impl Handshake {
    /// The answer, and the connection once that is sent.
    pub(super) fn accept(self) -> (Response, impl Future<Output = hyper::Result<Upgraded>>) {
        let mut response = StatusCode::SWITCHING_PROTOCOLS.into_response();
        response.headers_mut().typed_insert(Connection::upgrade());
        response.headers_mut().typed_insert(Upgrade::websocket());
        response.headers_mut().typed_insert(SecWebsocketAccept::from(self.key));
        (response, self.upgrade)
    }
}
