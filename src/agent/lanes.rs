//! What the buffer has to know of an endpoint: it knows no rules, and stages know no buffer.

use crate::buffer::{ClassLanes, EndpointLanes};
use crate::remote_write::{CatchUp, ClassCounter, EndpointOptions, classes, rules_hash};
use std::cell::RefCell;
use std::rc::Rc;

/// The lanes that an endpoint's options make.
pub fn lanes_of(options: &EndpointOptions) -> EndpointLanes {
    let (rules, external_labels, own) = (&options.write_relabel, &options.content.external_labels, options.priority);
    let lanes = classes(rules, own).map(|classes| {
        let counter = RefCell::new(ClassCounter::new(rules, external_labels, own));
        ClassLanes {
            classes,
            rules_hash: rules_hash(rules, external_labels, own),
            count: Rc::new(move |batch| counter.borrow_mut().count(batch)),
        }
    });
    let is_live_first = options.catch_up == CatchUp::LiveFirst;
    EndpointLanes { name: options.name.clone(), ring_key: options.ring_key.clone(), is_live_first, classes: lanes }
}
