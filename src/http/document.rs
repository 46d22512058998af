//! Documents that are fetched again and again: each has a tag, and who has it already gets nothing.

use headers::{ETag, HeaderMapExt, IfNoneMatch};
use sha2::{Digest, Sha256};
use warp::http::{HeaderMap, HeaderValue, StatusCode, header};
use warp::reply::{Reply, Response};

use super::api::HTML;
use super::problem::Refusal;
use super::request::negotiate;

/// How long a copy may be used without asking.
#[derive(Debug, Clone, Copy)]
pub(super) enum Freshness {
    /// It changes with the program only.
    Minutes,
    /// It may change at any time.
    Never,
}

/// Answers with a document in the content type that the client likes best, or with 304 if it has this very one.
pub(super) fn document(
    headers: &HeaderMap,
    offered: &'static [&'static str],
    freshness: Freshness,
    text: impl Into<String>,
) -> Result<Response, Refusal> {
    let content_type = negotiate(headers, offered)?;
    let text = text.into();
    let tag = tag(content_type, &text);
    let known = tag.as_ref().zip(headers.typed_get::<IfNoneMatch>()).is_some_and(|(tag, known)| !known.precondition_passes(tag));
    let mut response = if known { StatusCode::NOT_MODIFIED.into_response() } else { text.into_response() };
    let answer = response.headers_mut();
    if known {
        answer.remove(header::CONTENT_TYPE);
    } else {
        answer.insert(header::CONTENT_TYPE, HeaderValue::from_static(with_charset(content_type)));
    }
    answer.insert(header::VARY, HeaderValue::from_static("Accept"));
    answer.insert(header::CACHE_CONTROL, HeaderValue::from_static(freshness.cache_control()));
    if let Some(tag) = tag {
        answer.typed_insert(tag);
    }
    Ok(response)
}

impl Freshness {
    fn cache_control(self) -> &'static str {
        match self {
            Self::Minutes => "public, max-age=300",
            Self::Never => "no-cache",
        }
    }
}

/// JSON needs none.
fn with_charset(content_type: &'static str) -> &'static str {
    if content_type == HTML { "text/html; charset=utf-8" } else { content_type }
}

/// The same for the same bytes, in every instance and release.
fn tag(content_type: &str, text: &str) -> Option<ETag> {
    let digest = Sha256::new().chain_update(content_type).chain_update([0]).chain_update(text).finalize();
    let hex: String = digest.iter().take(16).map(|byte| format!("{byte:02x}")).collect();
    format!("\"{hex}\"").parse().ok()
}
