//! Routes a request, and builds the reply.

use std::net::IpAddr;

use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::header::{
    ALLOW, CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HOST, HeaderName, HeaderValue,
    REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
};
use hyper::{Method, Request, Response, StatusCode};
use quorate_page::live;

use crate::http::health::{self, Health};
use crate::http::site::{RunningNode, Site};
use crate::runtime::Metrics;

const PAGE: &str = include_str!("page.html");
/// The style and the script of the status page alone; those that it shares with the page of the
/// simulator are in `quorate_page::live`.
const STYLE: &str = include_str!("live.css");
const SCRIPT: &str = include_str!("live.js");
/// The placeholder in the page for the nonce of the reply, which the content security policy names.
const NONCE: &str = "{{nonce}}";

const TEXT: &str = "text/plain; charset=utf-8";
const HTML: &str = "text/html; charset=utf-8";
const JSON: &str = "application/json";

pub(super) type HttpReply = Response<Full<Bytes>>;

/// Returns the reply. Bodies of requests are never read, because no request changes anything.
pub(super) async fn route(site: &Site, request: &Request<Incoming>) -> HttpReply {
    if site.loopback && !names_this_machine(request) {
        let text = "misdirected request: use localhost or an IP address as the host name\n";
        return plain(StatusCode::MISDIRECTED_REQUEST, text);
    }
    if *request.method() != Method::GET && *request.method() != Method::HEAD {
        let mut reply = plain(StatusCode::METHOD_NOT_ALLOWED, "only GET and HEAD are allowed\n");
        reply.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
        return reply;
    }
    let Some(RunningNode { handle, cluster_view }) = &site.node else {
        return starting(request.uri().path());
    };
    match (cluster_view, request.uri().path()) {
        (_, "/health") => {
            let health = Health::of(handle);
            let status = if health.ready { StatusCode::OK } else { unavailable() };
            reply_with(status, JSON, health.to_json())
        }
        (_, "/ready") => {
            let health = Health::of(handle);
            let status = if health.takes_writes { StatusCode::OK } else { unavailable() };
            reply_with(status, JSON, health.to_json())
        }
        (_, "/live") => {
            let health = Health::of(handle);
            let status = if health.live { StatusCode::OK } else { unavailable() };
            reply_with(status, JSON, health.to_json())
        }
        (None, "/metrics") => {
            let text = handle.metrics().text();
            reply_with(StatusCode::OK, Metrics::CONTENT_TYPE, text)
        }
        (None, _) => {
            plain(StatusCode::NOT_FOUND, "the paths are /metrics, /health, /ready and /live\n")
        }
        (Some(_), "/") => page(handle.environment().entropy()),
        (Some(cluster_view), "/api/cluster") => {
            reply_with(StatusCode::OK, JSON, cluster_view.to_json().await.to_string())
        }
        (Some(_), _) => plain(
            StatusCode::NOT_FOUND,
            "the paths are /, /api/cluster, /health, /ready and /live\n",
        ),
    }
}

/// Returns the reply of a node that has not started yet.
fn starting(path: &str) -> HttpReply {
    match path {
        "/live" => reply_with(StatusCode::OK, JSON, health::STARTING),
        "/health" | "/ready" => reply_with(unavailable(), JSON, health::STARTING),
        _ => plain(unavailable(), "the node is starting: try again later\n"),
    }
}

/// Returns true if the request is a health check, whose reply is short and needs no other node.
pub(super) fn is_health_check(request: &Request<Incoming>) -> bool {
    matches!(request.uri().path(), "/health" | "/live" | "/ready")
}

/// Returns the reply to a request for which there is no place.
pub(super) fn overloaded() -> HttpReply {
    plain(unavailable(), "too many requests are in progress: try again later\n")
}

fn unavailable() -> StatusCode {
    StatusCode::SERVICE_UNAVAILABLE
}

/// Returns true if the host name of the request is `localhost` or an IP address. The request of a
/// page whose host name an attacker resolves to this machine (DNS rebinding) has that name.
fn names_this_machine(request: &Request<Incoming>) -> bool {
    let host = request.headers().get(HOST).and_then(|host| host.to_str().ok()).unwrap_or("");
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    };
    let address = name.trim_start_matches('[').trim_end_matches(']');
    name.eq_ignore_ascii_case("localhost") || address.parse::<IpAddr>().is_ok()
}

/// Returns the page, whose policy allows only its own script and style, and requests to its own
/// origin. The nonce must be unpredictable.
fn page(nonce: u128) -> HttpReply {
    let nonce = format!("{nonce:032x}");
    let style = [live::STYLE, STYLE].concat();
    let script = [&live::PARTS.concat(), SCRIPT].concat();
    let text = PAGE.replace("{{style}}", &style).replace("{{script}}", &script);
    let mut reply = reply_with(StatusCode::OK, HTML, text.replace(NONCE, &nonce));
    let policy = format!(
        "default-src 'none'; script-src 'nonce-{nonce}'; style-src 'nonce-{nonce}'; \
         connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; \
         frame-ancestors 'none'"
    );
    let policy = HeaderValue::try_from(policy).expect("the policy is ASCII without controls");
    reply.headers_mut().insert(CONTENT_SECURITY_POLICY, policy);
    reply
}

fn plain(status: StatusCode, text: &'static str) -> HttpReply {
    reply_with(status, TEXT, text)
}

fn reply_with(status: StatusCode, content_type: &'static str, body: impl Into<Bytes>) -> HttpReply {
    let mut reply = Response::new(Full::new(body.into()));
    *reply.status_mut() = status;
    let headers: [(HeaderName, &'static str); 6] = [
        (CONTENT_TYPE, content_type),
        (CACHE_CONTROL, "no-store"),
        (CONTENT_SECURITY_POLICY, "default-src 'none'; frame-ancestors 'none'"),
        (REFERRER_POLICY, "no-referrer"),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (X_FRAME_OPTIONS, "DENY"),
    ];
    for (name, value) in headers {
        reply.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    reply
}
