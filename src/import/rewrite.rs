//! What has another name or form in Narthex than in Prometheus, and means the same.

use super::LeftOut;
use super::empty::{remove_empty_items, write_zeros};
use super::yaml::{Node, Place, Value};
use std::path::Path;

/// Where samples wait for their receiver; Prometheus has its own directory for that.
const RING_PATH: &str = "/var/lib/narthex/ring";

/// Keys that only matter to rules and queries, which an agent has none of: nothing is lost with them.
const HARMLESS: [&str; 3] = ["evaluation_interval", "query_log_file", "rule_query_offset"];

/// The same of the whole document. Half of all files have them: they are told of in one line.
const HARMLESS_SECTIONS: [&str; 2] = ["alerting", "rule_files"];

pub(super) fn rewrite(root: &mut Node, directory: &Path, left_out: &mut Vec<LeftOut>) {
    leave_out_harmless(root, left_out);
    each_map("", root, &mut |table, entries| {
        for (key, node) in entries.iter_mut() {
            if let Value::List(items) = &mut node.value {
                remove_empty_items(key, items, left_out);
            }
        }
        write_zeros(table, entries, left_out);
        if table.ends_with("relabel_configs") {
            entries.retain(|(key, node)| !(key == "modulus" && is_zero(node)));
        }
        authorization_of_bearer_token(entries);
        absolute_paths(entries, directory);
        begin_with_slash(entries);
    });
    if let Value::Map(entries) = &mut root.value {
        name_endpoints(entries);
        send_metadata(entries);
        add_buffer(entries);
    }
}

fn leave_out_harmless(root: &mut Node, left_out: &mut Vec<LeftOut>) {
    let Value::Map(entries) = &mut root.value else { return };
    let mut leave_out = |place: Place, key| {
        let (Place { file, line }, reason) = (place, "means nothing to an agent, which evaluates no rules".into());
        left_out.push(LeftOut { file, line, key, reason, is_harmless: true });
    };
    if let Some((_, Node { value: Value::Map(global), .. })) = entries.iter_mut().find(|(key, _)| key == "global") {
        global.retain(|(key, node)| {
            let is_harmless = HARMLESS.contains(&key.as_str());
            if is_harmless {
                leave_out(node.place, format!("global.{key}"));
            }
            !is_harmless
        });
    }
    let is_section = |key: &str| HARMLESS_SECTIONS.contains(&key);
    let found: Vec<_> =
        entries.iter().filter(|(key, _)| is_section(key)).map(|(key, node)| (key.clone(), node.place)).collect();
    if let Some((_, place)) = found.first() {
        let keys: Vec<&str> = found.iter().map(|(key, _)| key.as_str()).collect();
        leave_out(*place, keys.join(", "));
    }
    entries.retain(|(key, _)| !is_section(key));
}

/// A modulus of 0 is none.
fn is_zero(node: &Node) -> bool {
    matches!(&node.value, Value::Null) || matches!(&node.value, Value::Scalar { text, .. } if text == "0")
}

/// Calls `change` with each mapping and the key that it stands under.
pub(super) fn each_map(key: &str, node: &mut Node, change: &mut impl FnMut(&str, &mut Vec<(String, Node)>)) {
    match &mut node.value {
        Value::Null | Value::Scalar { .. } => {}
        Value::List(items) => items.iter_mut().for_each(|item| each_map(key, item, change)),
        Value::Map(entries) => {
            change(key, entries);
            entries.iter_mut().for_each(|(key, node)| each_map(key, node, change));
        }
    }
}

/// Prometheus puts a slash before a path that has none.
fn begin_with_slash(entries: &mut [(String, Node)]) {
    for (_, node) in entries.iter_mut().filter(|(key, _)| key == "metrics_path") {
        if let Value::Scalar { text, .. } = &mut node.value
            && !text.starts_with('/')
        {
            text.insert(0, '/');
        }
    }
}

/// Makes the paths in one value absolute.
pub(super) fn absolute_paths_in(node: &mut Node, directory: &Path) {
    each_map("", node, &mut |_, entries| absolute_paths(entries, directory));
}

/// `bearer_token` is what `authorization` was called before; Prometheus takes one for the other.
fn authorization_of_bearer_token(entries: &mut Vec<(String, Node)>) {
    entries.retain(|(key, node)| !(key == "authorization" && matches!(node.value, Value::Null)));
    if entries.iter().any(|(key, _)| key == "authorization") {
        return;
    }
    for (key, node) in entries.iter_mut() {
        let credentials = match key.as_str() {
            "bearer_token" => "credentials",
            "bearer_token_file" => "credentials_file",
            _ => continue,
        };
        let place = node.place;
        let token = Node { place, value: std::mem::replace(&mut node.value, Value::Null) };
        *key = "authorization".into();
        node.value = Value::Map(vec![(credentials.into(), token)]);
        return;
    }
}

/// The TOML may be put elsewhere.
fn absolute_paths(entries: &mut [(String, Node)], directory: &Path) {
    let absolute = |node: &mut Node| {
        if let Value::Scalar { text, .. } = &mut node.value
            && !text.is_empty()
        {
            *text = directory.join(&*text).to_string_lossy().into_owned();
        }
    };
    for (key, node) in entries {
        match &mut node.value {
            Value::List(items) if key == "files" => items.iter_mut().for_each(absolute),
            _ if key.ends_with("_file") => absolute(node),
            _ => {}
        }
    }
}

/// Narthex knows an endpoint by its name, which is made of its url if it has none.
fn name_endpoints(entries: &mut [(String, Node)]) {
    let Some((_, Node { value: Value::List(endpoints), .. })) =
        entries.iter_mut().find(|(key, _)| key == "remote_write")
    else {
        return;
    };
    let mut urls: Vec<String> = Vec::new();
    for (index, endpoint) in endpoints.iter_mut().enumerate() {
        let Value::Map(keys) = &mut endpoint.value else { continue };
        let text_of = |key: &str| match keys.iter().find(|(name, _)| name == key) {
            Some((_, Node { value: Value::Scalar { text, .. }, .. })) => Some(text.clone()),
            _ => None,
        };
        let (name, url) = (text_of("name"), text_of("url").unwrap_or_default());
        if name.is_none() && urls.contains(&url) {
            let text = format!("remote-write-{}", index + 1);
            let value = Value::Scalar { text, is_plain: false };
            keys.push(("name".into(), Node { place: endpoint.place, value }));
        }
        urls.push(url);
    }
}

/// Prometheus sends metadata unless it is told not to.
fn send_metadata(entries: &mut [(String, Node)]) {
    let Some((_, Node { value: Value::List(endpoints), .. })) =
        entries.iter_mut().find(|(key, _)| key == "remote_write")
    else {
        return;
    };
    for endpoint in endpoints {
        let Value::Map(keys) = &mut endpoint.value else { continue };
        let place = endpoint.place;
        if !keys.iter().any(|(key, _)| key == "metadata_config") {
            keys.push(("metadata_config".into(), Node { place, value: Value::Map(Vec::new()) }));
        }
        let Some((_, Node { value: Value::Map(metadata), place })) =
            keys.iter_mut().find(|(key, _)| key == "metadata_config")
        else {
            continue;
        };
        if !metadata.iter().any(|(key, _)| key == "send") {
            let value = Value::Scalar { text: "true".into(), is_plain: true };
            metadata.push(("send".into(), Node { place: *place, value }));
        }
    }
}

fn add_buffer(entries: &mut Vec<(String, Node)>) {
    let has_endpoint = entries.iter().any(|(key, node)| {
        key == "remote_write" && matches!(&node.value, Value::List(endpoints) if !endpoints.is_empty())
    });
    if has_endpoint {
        let path = Value::Scalar { text: RING_PATH.into(), is_plain: false };
        let place = Place::default();
        let path = ("path".into(), Node { place, value: path });
        entries.push(("buffer".into(), Node { place, value: Value::Map(vec![path]) }));
    }
}
