//! What makes an endpoint's samples go in lanes: `catch_up`, and rules that set `__priority__`.

use super::error::ConfigError;
use super::reader::{Table, quoted};
use crate::buffer::EndpointLanes;
use crate::limits::ENDPOINTS_MAX;
use crate::model::Class;
use crate::relabel::{Rule, Rules};
use crate::remote_write::{CatchUp, EndpointOptions, PRIORITY_LABEL, classes, fixed_replacement, sets_priority};

pub(super) fn read_catch_up(table: &Table) -> Result<CatchUp, ConfigError> {
    let Some(value) = table.get("catch_up") else { return Ok(CatchUp::default()) };
    let name = value.text("\"oldest_first\"")?;
    let known = CatchUp::ALL.into_iter().find(|known| known.name() == name);
    let [oldest, live] = CatchUp::ALL.map(CatchUp::name);
    known.ok_or_else(|| {
        value.error(format_args!("{} is no order to catch up in; write {oldest:?} or {live:?}", quoted(name)))
    })
}

/// Rules that write a priority which is none.
pub(super) fn check_priorities(table: &Table, rules: &Rules) -> Result<(), ConfigError> {
    let is_class = |name: &str| name.is_empty() || Class::parse(name).is_some();
    for rule in rules.iter().map(Rule::options).filter(|rule| sets_priority(rule)) {
        if let Some(name) = fixed_replacement(rule).filter(|name| !is_class(name)) {
            let [high, normal, low] = Class::ALL.map(Class::name);
            let problem = format_args!(
                "a rule writes {} into {PRIORITY_LABEL}; write {high:?}, {normal:?} or {low:?} as its replacement",
                quoted(name)
            );
            return Err(table.error("write_relabel_configs", problem));
        }
    }
    Ok(())
}

/// Whether the ring has room for the numbers of one more endpoint's lanes.
pub(super) fn check_lanes(
    table: &Table,
    before: &[EndpointOptions],
    endpoint: &EndpointOptions,
) -> Result<(), ConfigError> {
    let needed = acks_of(endpoint);
    let left = ENDPOINTS_MAX.saturating_sub(before.iter().map(acks_of).sum());
    if needed <= left {
        return Ok(());
    }
    if before.len() == ENDPOINTS_MAX {
        return Err(table.error_here(format_args!("is one too many; write at most {ENDPOINTS_MAX}")));
    }
    let problem = format_args!(
        "needs {needed} of the {ENDPOINTS_MAX} places that the ring has for how far endpoints have come, and {left} are left: one for \
         each class that write_relabel_configs give, three for each with catch_up = \"live_first\"; write fewer of these"
    );
    Err(table.error_here(problem))
}

fn acks_of(endpoint: &EndpointOptions) -> usize {
    let lanes = classes(&endpoint.write_relabel, endpoint.priority).map_or(1, |classes| classes.len());
    EndpointLanes::acks_count(endpoint.catch_up == CatchUp::LiveFirst, lanes)
}
