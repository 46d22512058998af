//! Which pages of other sites a browser may let ask this service: none, unless some are configured.
//!
//! Browsers do not keep pages from opening websockets anywhere, or from sending requests whose answers they may not read; they only say
//! where the page is from. So a request from elsewhere is refused, whatever it is.

use warp::http::{HeaderMap, HeaderName, HeaderValue, Method, header};
use warp::reply::Response;

use super::problem::Refusal;
use crate::config::Origins;

/// Where a request comes from, if a page sends it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Sender {
    /// No page, or one of this very host.
    Ours,
    /// A page of another site, which may ask.
    Allowed(HeaderValue),
}

impl Sender {
    /// Who sends it, if that is somebody who may. Where a page loads something without asking to read it, as an image, a browser names no origin and
    /// says no more than that it is another site. Whoever follows a link is let in.
    pub(super) fn of(headers: &HeaderMap, allowed: &Origins) -> Result<Self, Refusal> {
        let Some(origin) = headers.get(header::ORIGIN) else {
            let is_let_in =
                allowed.is_any() || !is_from_elsewhere(headers) || headers.get("sec-fetch-mode").is_some_and(|mode| mode == "navigate");
            return if is_let_in { Ok(Self::Ours) } else { Err(elsewhere()) };
        };
        let text = String::from_utf8_lossy(origin.as_bytes());
        if allowed.contain(&text) {
            return Ok(Self::Allowed(origin.clone()));
        }
        let host = headers.get(header::HOST).and_then(|host| host.to_str().ok());
        let is_ours = text.split_once("://").zip(host).is_some_and(|((_, authority), host)| authority.eq_ignore_ascii_case(host));
        if is_ours { Ok(Self::Ours) } else { Err(Refusal::Origin(text.into_owned())) }
    }

    /// Tells the browser that the page may read the answer.
    pub(super) fn let_read(&self, allowed: &Origins, headers: &mut HeaderMap) {
        if allowed.is_any() {
            headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
        } else if !allowed.is_none() {
            headers.append(header::VARY, HeaderValue::from_static("Origin"));
            if let Self::Allowed(origin) = self {
                headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
            }
        }
        if headers.contains_key(header::ACCESS_CONTROL_ALLOW_ORIGIN) {
            headers.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_static("ETag, Retry-After, Allow"));
        }
    }
}

/// Refuses a link on another site to what changes something.
pub(super) fn refuse_links(headers: &HeaderMap) -> Result<(), Refusal> {
    if headers.contains_key(header::ORIGIN) || !is_from_elsewhere(headers) { Ok(()) } else { Err(elsewhere()) }
}

/// Whether a browser says that something on another site made it ask.
fn is_from_elsewhere(headers: &HeaderMap) -> bool {
    headers.get("sec-fetch-site").is_some_and(|site| site == "cross-site" || site == "same-site")
}

fn elsewhere() -> Refusal {
    Refusal::Origin(String::from("another site"))
}

/// Tells the browser what a page may ask, where it asks that beforehand.
pub(super) fn preflight(request: &HeaderMap, methods: &[Method], response: &mut Response) {
    if !request.contains_key(header::ACCESS_CONTROL_REQUEST_METHOD) || !request.contains_key(header::ORIGIN) {
        return;
    }
    let headers = response.headers_mut();
    let named = methods.iter().map(Method::as_str).collect::<Vec<_>>().join(", ");
    let answers: [(HeaderName, Option<HeaderValue>); 3] = [
        (header::ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_str(&named).ok()),
        (header::ACCESS_CONTROL_ALLOW_HEADERS, Some(HeaderValue::from_static("Accept, Content-Type, If-None-Match, Last-Event-ID"))),
        (header::ACCESS_CONTROL_MAX_AGE, Some(HeaderValue::from_static("600"))),
    ];
    headers.extend(answers.into_iter().filter_map(|(name, value)| value.map(|value| (name, value))));
}
