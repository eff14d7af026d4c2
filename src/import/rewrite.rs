//! What has another name or form in Narthex than in Prometheus, and means the same.

use super::LeftOut;
use super::yaml::{Node, Value};
use std::path::Path;

/// Where samples wait for their receiver; Prometheus has its own directory for that.
const RING_PATH: &str = "/var/lib/narthex/ring";

/// Keys that only matter to rules and queries, which an agent has none of: nothing is lost with them.
const HARMLESS: [&str; 3] = ["evaluation_interval", "query_log_file", "rule_query_offset"];

pub(super) fn rewrite(root: &mut Node, directory: &Path, left_out: &mut Vec<LeftOut>) {
    let Value::Map(entries) = &mut root.value else { return };
    if let Some(Value::Map(global)) =
        entries.iter_mut().find(|(key, _)| key == "global").map(|(_, node)| &mut node.value)
    {
        global.retain(|(key, node)| {
            let is_harmless = HARMLESS.contains(&key.as_str());
            if is_harmless {
                let reason = "means nothing to an agent, which evaluates no rules".into();
                left_out.push(LeftOut { line: node.line, key: format!("global.{key}"), reason, is_harmless });
            }
            !is_harmless
        });
    }
    each_map(root, &mut |entries| {
        // A key without a value is as good as none.
        entries.retain(|(_, node)| !matches!(node.value, Value::Null));
        authorization_of_bearer_token(entries);
        absolute_paths(entries, directory);
    });
    if let Value::Map(entries) = &mut root.value {
        name_endpoints(entries);
        send_metadata(entries);
        add_buffer(entries);
    }
}

fn each_map(node: &mut Node, change: &mut impl FnMut(&mut Vec<(String, Node)>)) {
    match &mut node.value {
        Value::Null | Value::Scalar { .. } => {}
        Value::List(items) => items.iter_mut().for_each(|item| each_map(item, change)),
        Value::Map(entries) => {
            change(entries);
            entries.iter_mut().for_each(|(_, node)| each_map(node, change));
        }
    }
}

/// `bearer_token` is what `authorization` was called before; Prometheus takes one for the other.
fn authorization_of_bearer_token(entries: &mut [(String, Node)]) {
    if entries.iter().any(|(key, _)| key == "authorization") {
        return;
    }
    for (key, node) in entries.iter_mut() {
        let credentials = match key.as_str() {
            "bearer_token" => "credentials",
            "bearer_token_file" => "credentials_file",
            _ => continue,
        };
        let line = node.line;
        let token = Node { line, value: std::mem::replace(&mut node.value, Value::Null) };
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
            keys.push(("name".into(), Node { line: endpoint.line, value }));
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
        let line = endpoint.line;
        if !keys.iter().any(|(key, _)| key == "metadata_config") {
            keys.push(("metadata_config".into(), Node { line, value: Value::Map(Vec::new()) }));
        }
        let Some((_, Node { value: Value::Map(metadata), line })) =
            keys.iter_mut().find(|(key, _)| key == "metadata_config")
        else {
            continue;
        };
        if !metadata.iter().any(|(key, _)| key == "send") {
            let value = Value::Scalar { text: "true".into(), is_plain: true };
            metadata.push(("send".into(), Node { line: *line, value }));
        }
    }
}

fn add_buffer(entries: &mut Vec<(String, Node)>) {
    let has_endpoint = entries.iter().any(|(key, node)| {
        key == "remote_write" && matches!(&node.value, Value::List(endpoints) if !endpoints.is_empty())
    });
    if has_endpoint {
        let path = Value::Scalar { text: RING_PATH.into(), is_plain: false };
        let path = ("path".into(), Node { line: 0, value: path });
        entries.push(("buffer".into(), Node { line: 0, value: Value::Map(vec![path]) }));
    }
}
