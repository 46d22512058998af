//! What a request says, read strictly: path and query as text, a body of limited length, what is accepted.

use std::str::FromStr;

use bytes::{Buf, Bytes};
use futures_util::{Stream, TryStreamExt};
use headers::{ContentLength, HeaderMapExt};
use headers_accept::Accept;
use mediatype::{MediaType, MediaTypeBuf, ReadParams};
use percent_encoding::percent_decode_str;
use tokio::time::timeout;
use warp::http::{HeaderMap, Method, header};
use warp::{Filter, Rejection};

use super::api;
use super::problem::Refusal;
use crate::config::{BODY_TIMEOUT, MAX_BODY_BYTES};
use crate::contract::{self, Invalid, Request};
use crate::message::pointer;

/// Requests of one of these methods for a path without parameters.
pub(super) fn at(template: &'static str, methods: &'static [Method]) -> impl Filter<Extract = (), Error = Rejection> + Clone {
    parameters(template, methods).map(|_| ()).untuple_one()
}

/// Requests of one of these methods for a path, with its only parameter.
pub(super) fn with_parameter(
    template: &'static str,
    methods: &'static [Method],
) -> impl Filter<Extract = (String,), Error = Rejection> + Clone {
    parameters(template, methods)
        .and_then(async |parameters: Vec<String>| parameters.into_iter().next().ok_or_else(warp::reject::not_found))
}

fn parameters(template: &'static str, methods: &'static [Method]) -> impl Filter<Extract = (Vec<String>,), Error = Rejection> + Clone {
    warp::method().and(warp::path::full()).and_then(async move |method: Method, path: warp::path::FullPath| {
        let found = methods.contains(&method).then(|| segments(path.as_str()).and_then(|segments| api::matches(template, &segments)));
        found.flatten().ok_or_else(warp::reject::not_found)
    })
}

/// The segments of a path, as text; none if they are not. A slash at the end means nothing.
pub(super) fn segments(path: &str) -> Option<Vec<String>> {
    let path = path.strip_prefix('/')?;
    path.strip_suffix('/').unwrap_or(path).split('/').map(decoded).collect()
}

fn decoded(text: &str) -> Option<String> {
    percent_decode_str(text).decode_utf8().ok().map(std::borrow::Cow::into_owned)
}

/// The parameters of the query string, in their order.
pub(super) fn parameters_of_query()
-> impl Filter<Extract = (Result<Vec<(String, String)>, Refusal>,), Error = std::convert::Infallible> + Clone {
    warp::any().and(optional_query()).map(|query: String| pairs(&query).map_err(Refusal::from))
}

fn optional_query() -> impl Filter<Extract = (String,), Error = std::convert::Infallible> + Clone {
    warp::query::raw().or(warp::any().map(String::new)).unify()
}

/// A message in the query string.
pub(super) fn query<T: Request + Send>() -> impl Filter<Extract = (Result<T, Refusal>,), Error = std::convert::Infallible> + Clone {
    parameters_of_query().map(|parameters: Result<_, Refusal>| Ok(contract::read_query(parameters?)?))
}

/// As a form has them: pairs with `&` between, blanks as `+`.
fn pairs(query: &str) -> Result<Vec<(String, String)>, Invalid> {
    let pair = |pair: &str| {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let [name, value] = [name, value].map(|text| decoded(&text.replace('+', " ")));
        let name = name.ok_or_else(|| Invalid::at("", "the name of a parameter is not UTF-8"))?;
        let value = value.ok_or_else(|| Invalid::at(&pointer(&name), "not UTF-8"))?;
        Ok((name, value))
    };
    query.split('&').filter(|pair| !pair.is_empty()).map(pair).collect()
}

/// A message in the body, whatever content type it says it has: `curl -d` says another.
pub(super) async fn body<T: Request>(headers: &HeaderMap, body: impl Stream<Item = Result<impl Buf, warp::Error>>) -> Result<T, Refusal> {
    if let Some(encoding) = headers.get(header::CONTENT_ENCODING).filter(|encoding| !encoding.as_bytes().eq_ignore_ascii_case(b"identity"))
    {
        return Err(Refusal::Encoding(String::from_utf8_lossy(encoding.as_bytes()).into_owned()));
    }
    // Who waits to be told to go on need not send it first.
    let length = headers.typed_get::<ContentLength>();
    if length.is_some_and(|ContentLength(length)| usize::try_from(length).is_ok_and(|length| length > MAX_BODY_BYTES)) {
        return Err(Refusal::BodyTooLarge);
    }
    let body = timeout(BODY_TIMEOUT, whole(body)).await.map_err(|_| Refusal::BodyTooSlow)??;
    Ok(contract::read_with_digits(&body)?)
}

async fn whole(body: impl Stream<Item = Result<impl Buf, warp::Error>>) -> Result<Vec<u8>, Refusal> {
    let mut body = std::pin::pin!(body);
    let mut whole = vec![];
    while let Some(mut piece) = body.try_next().await.map_err(|_| Refusal::Malformed)? {
        let piece: Bytes = piece.copy_to_bytes(piece.remaining());
        whole.extend_from_slice(&piece);
        if whole.len() > MAX_BODY_BYTES {
            return Err(Refusal::BodyTooLarge);
        }
    }
    Ok(whole)
}

/// Which of the content types that can be had the client likes best; the first of them if it does not say, or says nothing that can be read.
pub(super) fn negotiate(headers: &HeaderMap, offered: &'static [&'static str]) -> Result<&'static str, Refusal> {
    let first = offered.first().copied().unwrap_or_default();
    let Some(accept) = accepted(headers) else { return Ok(first) };
    best(&accept, offered).ok_or(Refusal::NotAcceptable(first))
}

/// Whether the client names a content type, and does not just take whatever there is.
pub(super) fn names(headers: &HeaderMap, content_type: &'static str) -> bool {
    let is_named = |range: &&MediaTypeBuf| range.ty() != "*" && range.subty() != "*";
    let named = accepted(headers).map(|accept| accept.media_types().filter(is_named).cloned().collect());
    named.is_some_and(|named| best(&named, &[content_type]).is_some())
}

fn accepted(headers: &HeaderMap) -> Option<Accept> {
    let said: Vec<&str> = headers.get_all(header::ACCEPT).iter().filter_map(|accept| accept.to_str().ok()).collect();
    let accept = Accept::from_str(&said.join(",")).ok()?;
    accept.media_types().next()?;
    Some(accept.media_types().map(without_parameters).collect())
}

fn best(accept: &Accept, offered: &[&'static str]) -> Option<&'static str> {
    let types: Vec<MediaType<'_>> = offered.iter().filter_map(|offered| MediaType::parse(offered).ok()).collect();
    let chosen = accept.negotiate(&types)?;
    types.iter().position(|offered| offered == chosen).and_then(|index| offered.get(index).copied())
}

/// What can be had has no parameters, and who wants JSON in some `charset` means JSON.
fn without_parameters(range: &MediaTypeBuf) -> MediaTypeBuf {
    let quality: Vec<_> = range.params().filter(|(name, _)| *name == mediatype::names::Q).collect();
    MediaTypeBuf::from_parts(range.ty(), range.subty(), range.suffix(), &quality)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_text_and_a_slash_at_its_end_means_nothing() {
        let read = |path: &str| segments(path).map(|segments| segments.join("|"));
        assert_eq!(read("/v1/init").as_deref(), Some("v1|init"));
        assert_eq!(read("/v1/%69nit/").as_deref(), Some("v1|init"));
        assert_eq!(read("/v1/a%2Fb%20%C3%A4+").as_deref(), Some("v1|a/b ä+"));
        assert_eq!(read("//v1/init").as_deref(), Some("|v1|init"));
        assert_eq!(read("/v1/%ff"), None);
        assert_eq!(read("*"), None);
    }

    #[test]
    fn a_query_is_read_as_a_form_is() {
        let read = |query: &str| pairs(query).map_err(|invalid| invalid.to_string());
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        assert_eq!(read("a=1&b=x+y%2B&&c&d=%22=%22"), Ok(vec![pair("a", "1"), pair("b", "x y+"), pair("c", ""), pair("d", "\"=\"")]));
        assert_eq!(read("a/b=%ff"), Err(String::from("/a~1b: not UTF-8")));
        assert!(read("%ff=1").is_err());
    }

    #[test]
    fn the_client_chooses_among_what_there_is() {
        let choose = |accept: &[&'static str]| {
            let headers = accept.iter().map(|accept| (header::ACCEPT, warp::http::HeaderValue::from_static(accept))).collect();
            negotiate(&headers, &[api::SCHEMA_JSON, api::JSON]).ok()
        };
        for accept in [&[][..], &[""], &["*/*"], &["application/*"], &["application/schema+json"], &["text/html, */*;q=0.1"], &["nonsense"]]
        {
            assert_eq!(choose(accept), Some(api::SCHEMA_JSON), "{accept:?}");
        }
        for accept in [
            &["application/json"][..],
            &["application/json, application/schema+json;q=0.5"],
            &["text/html", "application/json"],
            &["application/json; charset=utf-8"],
        ] {
            assert_eq!(choose(accept), Some(api::JSON), "{accept:?}");
        }
        for accept in [&["text/html"][..], &["application/json;q=0, application/schema+json;q=0"], &["application/json;charset=utf-8;q=0"]]
        {
            assert_eq!(choose(accept), None, "{accept:?}");
        }
    }

    #[test]
    fn a_content_type_is_named_or_it_is_not() {
        let names = |accept: &'static str| {
            names(&[(header::ACCEPT, warp::http::HeaderValue::from_static(accept))].into_iter().collect(), api::EVENT_STREAM)
        };
        for accept in ["text/event-stream", "Text/Event-Stream; charset=utf-8, */*", "text/html, text/event-stream;q=0.1"] {
            assert!(names(accept), "{accept}");
        }
        for accept in ["", "*/*", "text/*", "text/event-stream;q=0, */*", "application/json", "nonsense"] {
            assert!(!names(accept), "{accept}");
        }
    }
}
