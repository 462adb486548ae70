//! Which answer a request gets.

use std::net::IpAddr;

use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::header::{
    ALLOW, CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HOST, HeaderName, HeaderValue,
    REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
};
use hyper::{Method, Request, Response, StatusCode};
use quorate_page::live;

use crate::http::health::Health;
use crate::http::site::Site;
use crate::runtime::Metrics;

const PAGE: &str = include_str!("page.html");
/// What this page has beside what it shares with that of a recorded run.
const STYLE: &str = include_str!("live.css");
const SCRIPT: &str = include_str!("live.js");
/// Stands in the page where each answer has a number of its own, which its policy names.
const NONCE: &str = "{{nonce}}";

const TEXT: &str = "text/plain; charset=utf-8";
const HTML: &str = "text/html; charset=utf-8";
const JSON: &str = "application/json";

pub(super) type Answer = Response<Full<Bytes>>;

/// The answer. Bodies of requests are never read: nobody can change anything here.
pub(super) async fn answer(site: &Site, request: &Request<Incoming>) -> Answer {
    if site.loopback && !names_this_machine(request) {
        return plain(StatusCode::MISDIRECTED_REQUEST, "ask for localhost or an IP address\n");
    }
    if *request.method() != Method::GET && *request.method() != Method::HEAD {
        let mut told = plain(StatusCode::METHOD_NOT_ALLOWED, "only GET and HEAD\n");
        told.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
        return told;
    }
    match (&site.watch, request.uri().path()) {
        (_, "/health") => {
            let health = Health::of(&site.handle);
            let status = if health.ready { StatusCode::OK } else { unavailable() };
            with(status, JSON, health.to_json())
        }
        (_, "/live") => {
            let health = Health::of(&site.handle);
            let status = if health.live { StatusCode::OK } else { unavailable() };
            with(status, JSON, health.to_json())
        }
        (None, "/metrics") => {
            let text = site.handle.metrics().text();
            with(StatusCode::OK, Metrics::CONTENT_TYPE, text)
        }
        (None, _) => plain(StatusCode::NOT_FOUND, "there are /metrics, /health and /live\n"),
        (Some(_), "/") => page(),
        (Some(watch), "/api/cluster") => with(StatusCode::OK, JSON, watch.seen().await.to_string()),
        (Some(_), _) => {
            plain(StatusCode::NOT_FOUND, "there are /, /api/cluster, /health and /live\n")
        }
    }
}

fn unavailable() -> StatusCode {
    StatusCode::SERVICE_UNAVAILABLE
}

/// A page of somewhere else whose name was made to lead here must not read what this says: the
/// name it asks for is still its own.
fn names_this_machine(request: &Request<Incoming>) -> bool {
    let host = request.headers().get(HOST).and_then(|host| host.to_str().ok()).unwrap_or("");
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    };
    let address = name.trim_start_matches('[').trim_end_matches(']');
    name.eq_ignore_ascii_case("localhost") || address.parse::<IpAddr>().is_ok()
}

/// The page may run its own script, show its own style, and ask where it came from.
fn page() -> Answer {
    let nonce = format!("{:032x}", entropy());
    let style = [live::STYLE, STYLE].concat();
    let script = [&live::PARTS.concat(), SCRIPT].concat();
    let text = PAGE.replace("{{style}}", &style).replace("{{script}}", &script);
    let mut told = with(StatusCode::OK, HTML, text.replace(NONCE, &nonce));
    let policy = format!(
        "default-src 'none'; script-src 'nonce-{nonce}'; style-src 'nonce-{nonce}'; \
         connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; \
         frame-ancestors 'none'"
    );
    let policy = HeaderValue::try_from(policy).expect("it is ASCII without controls");
    told.headers_mut().insert(CONTENT_SECURITY_POLICY, policy);
    told
}

#[expect(clippy::disallowed_methods, reason = "nobody must be able to guess it")]
fn entropy() -> u128 {
    rand::random()
}

fn plain(status: StatusCode, text: &'static str) -> Answer {
    with(status, TEXT, text)
}

fn with(status: StatusCode, sort: &'static str, body: impl Into<Bytes>) -> Answer {
    let mut told = Response::new(Full::new(body.into()));
    *told.status_mut() = status;
    let headers: [(HeaderName, &'static str); 6] = [
        (CONTENT_TYPE, sort),
        (CACHE_CONTROL, "no-store"),
        (CONTENT_SECURITY_POLICY, "default-src 'none'; frame-ancestors 'none'"),
        (REFERRER_POLICY, "no-referrer"),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (X_FRAME_OPTIONS, "DENY"),
    ];
    for (name, value) in headers {
        told.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    told
}
