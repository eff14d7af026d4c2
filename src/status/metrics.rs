//! `/metrics`: every count of the agent, in the text format 0.0.4.

use super::exposition::{Kind, Page};
use super::targets::PoolTargets;
use crate::counters::{Counter, Counters, DropCause, EndpointCounters};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

/// What there is to tell.
pub struct Figures {
    pub counters: Rc<Counters>,
    pub version: &'static str,
    /// Samples in memory that are not on flash.
    pub stage_samples: u64,
    /// Samples on flash that some endpoint lacks.
    pub ring_samples: u64,
    /// Bytes of the segments that hold these, and of the whole ring.
    pub ring_used_bytes: u64,
    pub ring_size_bytes: u64,
    /// The ring is open, and samples are not in memory only.
    pub has_ring: bool,
    /// Names of the endpoints, in the order of the configuration.
    pub endpoints: Rc<[String]>,
}

/// One count of an endpoint.
type Count = fn(&EndpointCounters) -> &Counter;

pub(super) fn render(figures: &Figures, pools: &[RefCell<PoolTargets>]) -> String {
    let Figures { counters, .. } = figures;
    let mut page = Page::default();
    page.family("narthex_build_info", Kind::Gauge, "Which build this is.");
    page.sample("narthex_build_info", &[("version", figures.version)], 1);
    for (name, help, value) in [
        ("narthex_scrapes_total", "Scrapes that ended, well or not.", &counters.scrapes),
        ("narthex_scrapes_failed_total", "Scrapes that ended with up 0.", &counters.scrapes_failed),
        ("narthex_targets_invalid_total", "Targets left out for their address or labels.", &counters.targets_invalid),
        ("narthex_targets_left_out_total", "Targets left out because there are too many.", &counters.targets_left_out),
        ("narthex_samples_accepted_total", "Samples that entered the buffer.", &counters.samples_accepted),
        ("narthex_samples_committed_total", "Samples written to the ring.", &counters.samples_committed),
        ("narthex_flash_bytes_written_total", "Bytes programmed to flash.", &counters.flash_bytes_written),
        ("narthex_flash_payload_bytes_total", "Bytes of encoded samples among them.", &counters.flash_payload_bytes),
        ("narthex_flash_programs_total", "Writes to flash.", &counters.flash_programs),
        ("narthex_flash_erases_total", "Segments opened, whose slots were given up.", &counters.flash_erases),
        ("narthex_flash_syncs_total", "Syncs of flash.", &counters.flash_syncs),
    ] {
        page.family(name, Kind::Counter, help);
        page.sample(name, &[], value.get());
    }
    let refused = "narthex_samples_refused_total";
    page.family(refused, Kind::Counter, "Samples of pages that were not taken.");
    for (cause, count) in [
        ("duplicate", &counters.samples_duplicate),
        ("out_of_order", &counters.samples_out_of_order),
        ("out_of_bounds", &counters.samples_out_of_bounds),
        ("max_series", &counters.samples_past_max_series),
    ] {
        page.sample(refused, &[("cause", cause)], count.get());
    }
    render_targets(pools, &mut page);
    for (name, help, value) in [
        ("narthex_stage_samples", "Samples in memory only.", figures.stage_samples),
        ("narthex_ring_samples", "Samples on flash that some endpoint lacks.", figures.ring_samples),
        ("narthex_ring_used_bytes", "Bytes of the segments that hold these.", figures.ring_used_bytes),
        ("narthex_ring_size_bytes", "Bytes of the ring.", figures.ring_size_bytes),
        ("narthex_ring_open", "1 if the ring is open, 0 if samples are in memory only.", u64::from(figures.has_ring)),
    ] {
        page.family(name, Kind::Gauge, help);
        page.sample(name, &[], value);
    }
    render_endpoints(figures, &mut page);
    page.text
}

/// Targets that the limit has cost nothing are not listed.
fn render_targets(pools: &[RefCell<PoolTargets>], page: &mut Page) {
    let refused = "narthex_target_samples_refused_total";
    page.family(refused, Kind::Counter, "Samples of new series that limits.max_series did not allow, by target.");
    let mut counts = BTreeMap::<_, u64>::new();
    for pool in pools.iter().map(RefCell::borrow) {
        for active in &pool.active {
            let count = active.last.borrow().as_ref().map_or(0, |last| last.samples_past_max_series);
            let instance = active.target.labels.get("instance").unwrap_or_default();
            *counts.entry((pool.job_name.clone(), instance.to_string())).or_default() += count;
        }
    }
    for ((job, instance), count) in counts.iter().filter(|(_, count)| **count > 0) {
        page.sample(refused, &[("scrape_pool", job), ("instance", instance), ("cause", "max_series")], count);
    }
}

fn render_endpoints(figures: &Figures, page: &mut Page) {
    let counts: [(&str, &str, Count); 8] = [
        ("narthex_samples_delivered_total", "Samples that the receiver took.", |of| &of.samples_delivered),
        ("narthex_samples_relabelled_away_total", "Samples that write_relabel_configs dropped.", |of| {
            &of.samples_relabelled_away
        }),
        ("narthex_requests_total", "Requests sent, retries included.", |of| &of.requests),
        ("narthex_request_retries_total", "Requests that failed and are sent again.", |of| &of.retries),
        ("narthex_requests_written_differs_total", "Requests answered with other counts than were sent.", |of| {
            &of.written_differs
        }),
        ("narthex_metadata_sent_total", "Families that a receiver of 1.0 was told of.", |of| &of.metadata_sent),
        ("narthex_metadata_failed_total", "Families that it was not told of in an interval.", |of| &of.metadata_failed),
        ("narthex_sent_bytes_total", "Bytes of compressed bodies sent, retries included.", |of| &of.bytes_sent),
    ];
    let endpoints = || figures.endpoints.iter().zip(0..);
    for (name, help, count) in counts {
        page.family(name, Kind::Counter, help);
        for (endpoint, index) in endpoints() {
            page.sample(name, &[("endpoint", endpoint)], count(figures.counters.endpoint(index)).get());
        }
    }
    let dropped = "narthex_samples_dropped_total";
    page.family(dropped, Kind::Counter, "Samples that will never be delivered, by cause; they count on over restarts.");
    for (endpoint, index) in endpoints() {
        for cause in DropCause::ALL {
            let count = figures.counters.endpoint(index).dropped(cause);
            if cause == DropCause::Several && count == 0 {
                continue;
            }
            page.sample(dropped, &[("endpoint", endpoint), ("cause", cause.name())], count);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_count_has_its_line() {
        let counters = Rc::<Counters>::default();
        counters.scrapes.add(3);
        counters.endpoint(1).drop_samples(DropCause::RingFull, 7);
        let figures = Figures {
            counters,
            version: "1.2.3",
            stage_samples: 5,
            ring_samples: 6,
            ring_used_bytes: 1024,
            ring_size_bytes: 4096,
            has_ring: true,
            endpoints: Rc::new(["a".into(), "say \"b\"".into()]),
        };
        let page = render(&figures, &[]);
        for line in [
            "narthex_build_info{version=\"1.2.3\"} 1",
            "narthex_scrapes_total 3",
            "narthex_ring_used_bytes 1024",
            "narthex_samples_dropped_total{endpoint=\"a\",cause=\"ring_full\"} 0",
            "narthex_samples_dropped_total{endpoint=\"say \\\"b\\\"\",cause=\"ring_full\"} 7",
        ] {
            assert!(page.lines().any(|shown| shown == line), "{line} is not in:\n{page}");
        }
    }
}
