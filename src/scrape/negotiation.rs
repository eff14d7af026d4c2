//! What a target is asked for: the headers `Accept` and `Accept-Encoding`, as Prometheus 3 writes them.

use crate::model::{PageOptions, ScrapeProtocol};
use std::fmt::Write;

/// Weight of the protocol that is wanted most, in tenths: one more than Prometheus knows protocols.
const WEIGHT_MOST: usize = 7;

pub fn accept_header(options: &PageOptions) -> String {
    let mut header = String::new();
    let weights = (0..=WEIGHT_MOST).rev();
    for (protocol, weight) in options.protocols.iter().zip(weights) {
        header += media_type(*protocol);
        // Older versions know no escaping.
        if matches!(protocol, ScrapeProtocol::OpenMetricsText1_0_0 | ScrapeProtocol::PrometheusText1_0_0) {
            header += ";escaping=";
            header += options.escaping_scheme.name();
        }
        // Writing to a text does not fail.
        _ = write!(header, ";q=0.{weight},");
    }
    _ = write!(header, "*/*;q=0.{}", WEIGHT_MOST.saturating_sub(options.protocols.len()));
    header
}

pub fn accept_encoding_header(options: &PageOptions) -> &'static str {
    if options.compression { "gzip" } else { "identity" }
}

fn media_type(protocol: ScrapeProtocol) -> &'static str {
    match protocol {
        ScrapeProtocol::PrometheusProto => {
            "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited"
        }
        ScrapeProtocol::OpenMetricsText1_0_0 => "application/openmetrics-text;version=1.0.0",
        ScrapeProtocol::OpenMetricsText0_0_1 => "application/openmetrics-text;version=0.0.1",
        ScrapeProtocol::PrometheusText1_0_0 => "text/plain;version=1.0.0",
        ScrapeProtocol::PrometheusText0_0_4 => "text/plain;version=0.0.4",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::EscapingScheme;

    #[test]
    fn targets_are_asked_as_prometheus_asks_them() {
        let asked = |protocols: &[ScrapeProtocol], escaping_scheme| {
            accept_header(&PageOptions { protocols: protocols.to_vec(), escaping_scheme, ..PageOptions::default() })
        };
        assert_eq!(
            accept_header(&PageOptions::default()),
            "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.7,\
             application/openmetrics-text;version=0.0.1;q=0.6,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.5,\
             text/plain;version=0.0.4;q=0.4,*/*;q=0.3"
        );
        assert_eq!(
            asked(&ScrapeProtocol::PROTO_FIRST, EscapingScheme::Dots),
            "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited;q=0.7,\
             application/openmetrics-text;version=1.0.0;escaping=dots;q=0.6,\
             application/openmetrics-text;version=0.0.1;q=0.5,text/plain;version=1.0.0;escaping=dots;q=0.4,\
             text/plain;version=0.0.4;q=0.3,*/*;q=0.2"
        );
        assert_eq!(
            asked(&[ScrapeProtocol::PrometheusText0_0_4], EscapingScheme::Values),
            "text/plain;version=0.0.4;q=0.7,*/*;q=0.6"
        );
    }
}
