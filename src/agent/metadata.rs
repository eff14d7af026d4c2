//! An endpoint's second task: what metrics are, told on a schedule of its own to a receiver of 1.0. It passes the same gate as samples
//! do, after all of them.

use super::Shared;
use super::trouble::Trouble;
use crate::clock::Clock;
use crate::model::MetadataTable;
use crate::remote_write::{
    Body, EndpointOptions, MetadataAction, MetadataEncoder, MetadataQueue, Traffic, Turns, Uplink, Version,
    estimated_bytes,
};
use std::cell::RefCell;
use std::rc::Rc;

/// Does not end: to be dropped when the agent stops.
pub(super) async fn send_metadata(
    shared: Rc<Shared>,
    index: usize,
    options: EndpointOptions,
    turns: Rc<RefCell<Turns>>,
    table: Rc<MetadataTable>,
    mut uplink: Uplink,
) {
    let (mut encoder, mut trouble) = (MetadataEncoder::default(), Trouble::default());
    let traffic = Traffic { class: options.priority, is_backlog: false };
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
                let is_v1 = shared.protocols[index].borrow().version(now) == Version::V1;
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
        if !queue.takes_body(body.as_bytes().len()) {
            continue;
        }
        let (wall_ms, reserved_bytes) = (shared.clock.wall_ms(), estimated_bytes(body.as_bytes().len()));
        let ready_at = turns.borrow_mut().ready_beside_at(now, wall_ms, traffic, reserved_bytes);
        if let Some(at) = ready_at {
            shared.sleep_until(at).await;
            continue;
        }
        let outcome = uplink.send(body.as_bytes(), Version::V1.headers(), retries).await;
        let (now, wall_ms) = (shared.clock.monotonic(), shared.clock.wall_ms());
        shared.account(&turns, (now, wall_ms), traffic, reserved_bytes, uplink.take_carried_bytes());
        turns.borrow_mut().ended(now, &outcome);
        let line = match queue.on_outcome(now, &outcome, counters) {
            true => trouble.succeeded(now),
            false => trouble.failed(now, &outcome),
        };
        if let Some(line) = line {
            log::warn!("remote_write {:?}: metadata: {line}", options.name);
        }
    }
}
