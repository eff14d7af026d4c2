//! What an agent does and holds, for whoever asks over HTTP: its targets as Prometheus's API tells of them, and its counts.
//!
//! ```text
//!  GET /api/v1/targets      ─► targets: JSON       pools, which the agent keeps up to date
//!  GET /metrics             ─► metrics: text 0.0.4  figures, gathered when they are asked for
//!  GET /-/healthy, /-/ready
//! ```
//!
//! Changes nothing, and renders nothing unless somebody asks. Refuses to know where figures come from.

pub mod exposition;
mod metrics;
mod targets;

use crate::http_server::{Request, Response, StatusCode};
pub use metrics::Figures;
use std::cell::RefCell;
use std::net::SocketAddr;
pub use targets::{ActiveTarget, LabelPairs, LastScrape, PoolTargets};

/// `[status]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StatusOptions {
    pub listen: SocketAddr,
}

const ROOT: &str =
    "narthex\n\n/api/v1/targets  what is scraped, and how it went\n/metrics         counts\n/-/healthy\n/-/ready\n";

/// Answers one request. `pools` are in the order of the configuration.
pub fn answer(request: &Request, pools: &[RefCell<PoolTargets>], figures: &dyn Fn() -> Figures) -> Response {
    if !matches!(request.method(), "GET" | "HEAD") {
        return Response::text(StatusCode::METHOD_NOT_ALLOWED, "only GET and HEAD\n");
    }
    match request.path() {
        "/" => Response::text(StatusCode::OK, ROOT),
        "/metrics" => Response::ok(exposition::CONTENT_TYPE, metrics::render(&figures(), pools)),
        "/api/v1/targets" => {
            Response::ok("application/json", targets::render(request.query().unwrap_or_default(), pools))
        }
        "/-/healthy" => Response::text(StatusCode::OK, "narthex is healthy\n"),
        "/-/ready" => Response::text(StatusCode::OK, "narthex is ready\n"),
        _ => Response::text(StatusCode::NOT_FOUND, "there are /api/v1/targets, /metrics, /-/healthy and /-/ready\n"),
    }
}
