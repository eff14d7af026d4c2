//! An endpoint's second task: what metrics are, told on a schedule of its own to a receiver of 1.0.

use super::Shared;
use super::trouble::Trouble;
use crate::clock::Clock;
use crate::model::MetadataTable;
use crate::remote_write::{Body, EndpointOptions, MetadataAction, MetadataEncoder, MetadataQueue, Uplink, Version};
use std::rc::Rc;

/// Does not end: to be dropped when the agent stops.
pub(super) async fn send_metadata(
    shared: Rc<Shared>,
    index: usize,
    options: EndpointOptions,
    table: Rc<MetadataTable>,
    mut uplink: Uplink,
) {
    let (mut encoder, mut trouble) = (MetadataEncoder::default(), Trouble::default());
    let mut queue = MetadataQueue::new(&options.metadata, &options.queue, shared.clock.monotonic(), fastrand::u64(..));
    loop {
        let (now, counters) = (shared.clock.monotonic(), shared.counters.endpoint(index));
        let (body, retries) = match queue.poll(now) {
            MetadataAction::Wait { until } => {
                shared.sleep_until(until).await;
                continue;
            }
            MetadataAction::Collect => {
                // 2.0 has it beside each series.
                let is_v1 = shared.versions[index].get() == Version::V1;
                queue.offer(now, if is_v1 { table.families() } else { Vec::new() }, counters);
                continue;
            }
            MetadataAction::Send { families, retries } => {
                // Not kept: there is nothing to send for most of the time.
                let mut body = Body::default();
                encoder.encode(families, &mut body);
                (body, retries)
            }
        };
        let outcome = uplink.send(body.as_bytes(), Version::V1.headers(), retries).await;
        let now = shared.clock.monotonic();
        let line = match queue.on_outcome(now, &outcome, counters) {
            true => trouble.succeeded(now),
            false => trouble.failed(now, &outcome),
        };
        if let Some(line) = line {
            log::warn!("remote_write {:?}: metadata: {line}", options.name);
        }
    }
}
