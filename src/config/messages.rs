//! What an endpoint is sent, and how: `protobuf_message`, `send_exemplars`, `send_native_histograms`.

use super::error::ConfigError;
use super::reader::{Table, Value, quoted};
use crate::model::Labels;
use crate::remote_write::{Content, ProtobufMessage, Version};

const MESSAGES: [(&str, ProtobufMessage); 3] = [
    ("auto", ProtobufMessage::Auto),
    ("prometheus.WriteRequest", ProtobufMessage::Always(Version::V1)),
    ("io.prometheus.write.v2.Request", ProtobufMessage::Always(Version::V2)),
];

pub(super) fn read_protobuf_message(table: &Table) -> Result<ProtobufMessage, ConfigError> {
    let Some(value) = table.get("protobuf_message") else { return Ok(ProtobufMessage::default()) };
    let [auto, v1, v2] = MESSAGES.map(|(name, _)| name);
    let name = value.text("\"auto\"")?;
    let known = MESSAGES.iter().find(|(known, _)| *known == name);
    let unknown = || value.error(format_args!("{} is not supported; write {auto:?}, {v1:?} or {v2:?}", quoted(name)));
    known.map(|(_, message)| *message).ok_or_else(unknown)
}

pub(super) fn protobuf_message_name(message: ProtobufMessage) -> &'static str {
    MESSAGES.iter().find(|(_, known)| *known == message).map_or("auto", |(name, _)| name)
}

pub(super) fn read_content(table: &Table, external_labels: &Labels) -> Result<Content, ConfigError> {
    Ok(Content {
        external_labels: external_labels.clone(),
        send_exemplars: table.get_or("send_exemplars", false, Value::flag)?,
        send_native_histograms: table.get_or("send_native_histograms", false, Value::flag)?,
    })
}
