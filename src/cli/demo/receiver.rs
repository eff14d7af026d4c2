//! A Remote-Write 1.0 receiver that takes nothing on trust: the demo's other end.
//!
//! What the specification asks of senders is checked, and refused with a text where it is not met. What is accepted goes
//! into the [`Ledger`], which knows each sample that it was ever given.
//!
//! ```text
//!  request ─► headers ─► snappy ─► proto3 ─► labels, order ─► ledger
//!               415        400       400         400            204
//! ```

mod ledger;
mod refusal;
#[cfg(test)]
mod tests;

use crate::http_server::{Request, Response, StatusCode};
use crate::limits::{RECEIVER_PLAIN_BYTES_MAX, RECEIVER_SAMPLES_MAX};
use crate::remote_write::messages::{Label, TimeSeries, WriteRequest};
use prost::Message;

pub use ledger::{Ledger, Received};
pub use refusal::Refusal;

/// Where requests are sent to.
pub const PATH: &str = "/api/v1/write";

/// Answers `POST /api/v1/write`, and writes what it accepts into the ledger.
pub fn answer(request: &Request, ledger: &mut Ledger) -> Response {
    match (request.method(), request.path()) {
        ("POST", PATH) => {
            let told = Told {
                content_encoding: request.header("content-encoding"),
                content_type: request.header("content-type"),
                version: request.header("x-prometheus-remote-write-version"),
                user_agent: request.header("user-agent"),
            };
            match receive(&told, &request.body, ledger) {
                Ok(()) => Response::text(StatusCode::NO_CONTENT, ""),
                Err(refusal) => Response::text(refusal.status(), format!("{refusal}\n")),
            }
        }
        (_, PATH) => Response::text(StatusCode::METHOD_NOT_ALLOWED, "only POST\n"),
        _ => Response::text(StatusCode::NOT_FOUND, format!("only {PATH}\n")),
    }
}

/// What a request's headers say of its body and its sender.
#[derive(Clone, Copy, Debug)]
pub struct Told<'a> {
    pub content_encoding: Option<&'a str>,
    pub content_type: Option<&'a str>,
    /// `X-Prometheus-Remote-Write-Version`.
    pub version: Option<&'a str>,
    pub user_agent: Option<&'a str>,
}

/// Takes a whole request into the ledger, or none of it.
pub fn receive(told: &Told<'_>, body: &[u8], ledger: &mut Ledger) -> Result<(), Refusal> {
    let result = told.check().and_then(|()| decode(body)).and_then(|request| {
        let samples: usize = request.timeseries.iter().map(|series| series.samples.len()).sum();
        if ledger.received().samples_distinct + samples as u64 > RECEIVER_SAMPLES_MAX as u64 {
            return Err(Refusal::LedgerFull);
        }
        Ok(request)
    });
    ledger.count_request(body.len(), result.is_ok());
    for series in result?.timeseries {
        let labels = series.labels.iter().map(|label| (label.name.as_str(), label.value.as_str()));
        ledger.record(labels, series.samples.iter().map(|sample| (sample.timestamp, sample.value)));
    }
    Ok(())
}

impl Told<'_> {
    fn check(&self) -> Result<(), Refusal> {
        let is = |told: Option<&str>, wanted: &str| told.is_some_and(|told| told.eq_ignore_ascii_case(wanted));
        if !is(self.content_encoding, "snappy") {
            return Err(Refusal::Encoding(self.content_encoding.map(str::to_owned)));
        }
        let of_1_0 = ["application/x-protobuf", "application/x-protobuf;proto=prometheus.WriteRequest"];
        if !of_1_0.iter().any(|wanted| is(self.content_type, wanted)) {
            return Err(Refusal::ContentType(self.content_type.map(str::to_owned)));
        }
        if !is(self.version, "0.1.0") {
            return Err(Refusal::Version(self.version.map(str::to_owned)));
        }
        if self.user_agent.is_none_or(str::is_empty) {
            return Err(Refusal::NoUserAgent);
        }
        Ok(())
    }
}

/// A request that is as the specification has it.
fn decode(body: &[u8]) -> Result<WriteRequest, Refusal> {
    let plain_bytes = snap::raw::decompress_len(body).map_err(Refusal::Snappy)?;
    if plain_bytes > RECEIVER_PLAIN_BYTES_MAX {
        return Err(Refusal::TooLarge(plain_bytes));
    }
    let plain = snap::raw::Decoder::new().decompress_vec(body).map_err(Refusal::Snappy)?;
    let request = WriteRequest::decode(plain.as_slice()).map_err(Refusal::Proto)?;
    for series in &request.timeseries {
        check_labels(&series.labels)?;
        check_order(series)?;
    }
    Ok(request)
}

fn check_labels(labels: &[Label]) -> Result<(), Refusal> {
    let mut before = "";
    let mut has_name = false;
    for Label { name, value } in labels {
        let is_metric_name = name == "__name__";
        if !is_name(name, false) || (is_metric_name && !is_name(value, true)) {
            return Err(Refusal::Name(if is_metric_name { value } else { name }.clone()));
        }
        if value.is_empty() {
            return Err(Refusal::EmptyValue(name.clone()));
        }
        if name.as_str() <= before {
            return Err(Refusal::LabelsUnsorted { before: before.into(), name: name.clone() });
        }
        has_name |= is_metric_name;
        before = name;
    }
    if has_name { Ok(()) } else { Err(Refusal::NoMetricName(text(labels))) }
}

/// `[a-zA-Z_][a-zA-Z0-9_]*`, and `:` too in the name of a metric.
fn is_name(name: &str, is_metric: bool) -> bool {
    !name.starts_with(|first: char| first.is_ascii_digit())
        && !name.is_empty()
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_' || (is_metric && byte == b':'))
}

fn check_order(series: &TimeSeries) -> Result<(), Refusal> {
    match series.samples.windows(2).find(|pair| pair[0].timestamp >= pair[1].timestamp) {
        None => Ok(()),
        Some(pair) => Err(Refusal::SamplesUnsorted {
            series: text(&series.labels),
            before_ms: pair[0].timestamp,
            after_ms: pair[1].timestamp,
        }),
    }
}

fn text(labels: &[Label]) -> String {
    let pairs: Vec<_> = labels.iter().map(|label| format!("{}={:?}", label.name, label.value)).collect();
    format!("{{{}}}", pairs.join(", "))
}
