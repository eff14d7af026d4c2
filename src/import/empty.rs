//! Keys without a value. Go's YAML gives them the zero value of their type, which is not always what a missing key stands for.

use super::LeftOut;
use super::yaml::{Node, Place, Value};

const FALSE: [&str; 3] = ["enable_compression", "follow_redirects", "honor_timestamps"];

/// The empty text. Where neither Prometheus nor Narthex takes it, it is refused when the TOML is read.
const TEXT: [&str; 11] = [
    "action",
    "client_id",
    "job_name",
    "protobuf_message",
    "regex",
    "replacement",
    "scheme",
    "separator",
    "token_url",
    "type",
    "url",
];

const DURATION: [&str; 6] =
    ["batch_send_deadline", "max_backoff", "min_backoff", "refresh_interval", "remote_timeout", "send_interval"];

const NUMBER: [&str; 2] = ["capacity", "max_samples_per_send"];

/// Tables whose keys are the user's own.
pub(super) const OWN_KEYS: [&str; 7] =
    ["endpoint_params", "external_labels", "headers", "http_headers", "labels", "params", "proxy_connect_header"];

/// Writes down what an empty value stands for, where that is not what a missing key does, in one mapping under `table`.
pub(super) fn write_zeros(table: &str, entries: &mut Vec<(String, Node)>, left_out: &mut Vec<LeftOut>) {
    if OWN_KEYS.contains(&table) {
        return entries.retain(|(key, node)| keep_own(table, key, node, left_out));
    }
    for (key, node) in entries.iter_mut().filter(|(_, node)| matches!(node.value, Value::Null)) {
        let scalar = |text: &str, is_plain| Value::Scalar { text: text.into(), is_plain };
        node.value = match key.as_str() {
            key if FALSE.contains(&key) => scalar("false", true),
            key if TEXT.contains(&key) => scalar("", false),
            key if DURATION.contains(&key) => scalar("0s", false),
            key if NUMBER.contains(&key) => scalar("0", true),
            "metrics_path" => scalar("/", false),
            "targets" => Value::List(Vec::new()),
            "metadata_config" => {
                Value::Map(vec![("send".into(), Node { place: node.place, value: scalar("false", true) })])
            }
            _ => continue,
        };
    }
    entries.retain(|(key, node)| {
        let is_refused = key == "queue_config" && matches!(node.value, Value::Null);
        if is_refused {
            left_out.push(named(
                node.place,
                &format!("{table}.{key}"),
                "is empty, which Prometheus refuses, too; remove it",
            ));
        }
        !is_refused
    });
}

/// A label without a value is none; but one with a colon in its name lacks a space behind that.
fn keep_own(table: &str, key: &str, node: &Node, left_out: &mut Vec<LeftOut>) -> bool {
    let is_empty = matches!(node.value, Value::Null);
    if is_empty && let Some((name, value)) = key.split_once(':') {
        let problem = format!("has no value; write a space after the colon: {name}: {value}");
        left_out.push(named(node.place, &format!("{table}.{key}"), &problem));
    }
    !is_empty
}

/// Takes entries that are empty out of a list of mappings.
pub(super) fn remove_empty_items(key: &str, items: &mut Vec<Node>, left_out: &mut Vec<LeftOut>) {
    if !is_list_of_tables(key) {
        return;
    }
    items.retain(|item| {
        let is_empty = matches!(item.value, Value::Null);
        if is_empty {
            left_out.push(named(
                item.place,
                key,
                "an entry is empty, which Prometheus refuses, too; fill it in or remove it",
            ));
        }
        !is_empty
    });
}

/// Whether the key's value is an array of tables in TOML.
pub(super) fn is_list_of_tables(key: &str) -> bool {
    key == "remote_write" || key.ends_with("_configs")
}

fn named(place: Place, key: &str, reason: &str) -> LeftOut {
    LeftOut { file: place.file, line: place.line, key: key.into(), reason: reason.into(), is_harmless: false }
}
