//! Which of a ring's numbers belong to which lane of which endpoint. A lane that lets new samples go ahead of its backlog has three,
//! of which one is only the place where they part.

use crate::agent::lanes_of;
use crate::buffer::{endpoint_id, join_id, live_id};
use crate::remote_write::EndpointOptions;
use crate::ring::{Ack, Acks};

/// What a receiver lacks: records from one on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lacking {
    /// The endpoint, or its id where no configuration names it, and what part of it this is.
    pub name: String,
    pub from: u64,
    /// Those from here on are another's. `None`: there is no other.
    pub until: Option<u64>,
}

impl Lacking {
    /// Whether it lacks any of these.
    pub fn is_in(&self, from: u64, until: u64) -> bool {
        self.from.max(from) < self.until.unwrap_or(u64::MAX).min(until)
    }
}

/// In the order of the ring's numbers.
pub fn lacking(acks: &Acks, endpoints: &[EndpointOptions]) -> Vec<Lacking> {
    let known = |id: u64| acks.iter().find(|ack| ack.endpoint == id).map(|ack| ack.next_record);
    let is_part =
        |ack: &Ack| acks.iter().any(|of| [join_id(of.endpoint), live_id(of.endpoint)].contains(&ack.endpoint));
    let lane = |ack: &Ack| {
        let name = name_of(ack.endpoint, endpoints);
        match known(join_id(ack.endpoint)).zip(known(live_id(ack.endpoint))) {
            Some((join, live)) if ack.next_record < join => {
                let backlog = Lacking { name: format!("{name}, backlog"), from: ack.next_record, until: Some(join) };
                vec![backlog, Lacking { name: format!("{name}, new samples"), from: live, until: None }]
            }
            _ => vec![Lacking { name, from: ack.next_record, until: None }],
        }
    };
    acks.iter().filter(|ack| !is_part(ack)).flat_map(lane).collect()
}

/// The name of an endpoint, or the upper half of its id where no configuration names it; only that half of `id` counts.
pub fn endpoint_name(id: u64, endpoints: &[EndpointOptions]) -> String {
    let named = endpoints.iter().find(|endpoint| endpoint_id(&endpoint.ring_key) >> 32 == id >> 32);
    named.map_or_else(|| format!("{:08x}", id >> 32), |endpoint| endpoint.name.clone())
}

fn name_of(id: u64, endpoints: &[EndpointOptions]) -> String {
    let lanes = endpoints.iter().flat_map(|endpoint| {
        let lanes = lanes_of(endpoint).ids().into_iter();
        lanes.map(|(id, class)| match class {
            None => (id, endpoint.name.clone()),
            Some(class) => (id, format!("{} ({})", endpoint.name, class.name())),
        })
    });
    let former = |endpoint: &EndpointOptions| endpoint_id(&endpoint.ring_key) >> 32 == id >> 32;
    lanes.into_iter().find(|(known, _)| *known == id).map(|(_, name)| name).unwrap_or_else(|| {
        match endpoints.iter().find(|endpoint| former(endpoint)) {
            Some(endpoint) => format!("{} (a former lane, {id:016x})", endpoint.name),
            None => format!("{id:016x}"),
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config;
    use std::path::Path;

    fn endpoints() -> Vec<EndpointOptions> {
        let text = "[[remote_write]]\nurl = 'http://a'\nname = 'cloud'\ncatch_up = 'live_first'\n\
                    [[remote_write]]\nurl = 'http://b'\nname = 'plant'\n\
                    write_relabel_configs = [{ target_label = '__priority__', replacement = 'high' }]\n\
                    [buffer]\npath = 'ring'\n";
        config::parse(text, Path::new("n.toml")).unwrap().endpoints
    }

    #[test]
    fn lanes_are_told_by_name_and_a_lane_in_one_piece_is_told_once() {
        let (endpoints, cloud) = (endpoints(), endpoint_id("cloud"));
        let plant = lanes_of(&endpoints[1]).ids();
        let show = |numbers: [u64; 3], endpoints: &[EndpointOptions]| -> Vec<String> {
            let cloud = [cloud, join_id(cloud), live_id(cloud)].into_iter().zip(numbers);
            let others = [(plant[0].0, 7), (plant[1].0, 8)];
            let acks = cloud.chain(others).map(|(endpoint, next_record)| Ack { endpoint, next_record }).collect();
            lacking(&acks, endpoints).iter().map(|l| format!("{} {} {:?}", l.name, l.from, l.until)).collect()
        };
        let expected =
            ["cloud, backlog 1 Some(20)", "cloud, new samples 30 None", "plant (high) 7 None", "plant (normal) 8 None"];
        assert_eq!(show([1, 20, 30], &endpoints), expected);
        assert_eq!(show([30, 30, 30], &endpoints)[..2], ["cloud 30 None", "plant (high) 7 None"]);
        let unnamed = show([1, 20, 30], &[]);
        assert_eq!(unnamed.len(), 4);
        assert_eq!(unnamed[1], format!("{cloud:016x}, new samples 30 None"));
    }
}
