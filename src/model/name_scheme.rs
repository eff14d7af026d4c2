//! Which names a metric or label may have: Prometheus's `metric_name_validation_scheme`.

/// Prometheus 3 allows any text; before, names were what a program may call a variable.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum NameScheme {
    #[default]
    Utf8,
    Legacy,
}

impl NameScheme {
    /// `None` if there is no such scheme.
    pub fn parse(name: &str) -> Option<NameScheme> {
        match name {
            "utf8" => Some(NameScheme::Utf8),
            "legacy" => Some(NameScheme::Legacy),
            _ => None,
        }
    }

    pub fn name(self) -> &'static str {
        match self {
            NameScheme::Utf8 => "utf8",
            NameScheme::Legacy => "legacy",
        }
    }

    pub fn allows_label(self, name: &str) -> bool {
        self.allows(name, |byte| byte.is_ascii_alphabetic() || byte == b'_')
    }

    pub fn allows_metric(self, name: &str) -> bool {
        self.allows(name, |byte| byte.is_ascii_alphabetic() || byte == b'_' || byte == b':')
    }

    fn allows(self, name: &str, may_start: impl Fn(u8) -> bool) -> bool {
        let Some(first) = name.bytes().next() else { return false };
        match self {
            NameScheme::Utf8 => true,
            NameScheme::Legacy => may_start(first) && name.bytes().all(|byte| may_start(byte) || byte.is_ascii_digit()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn legacy_names_are_those_of_variables_and_metrics_may_have_colons() {
        for (name, label, metric) in [
            ("", false, false),
            ("a", true, true),
            ("_A9", true, true),
            ("9a", false, false),
            ("a:b", false, true),
            (":", false, true),
            ("a.b", false, false),
            ("é", false, false),
        ] {
            assert_eq!(NameScheme::Legacy.allows_label(name), label, "{name}");
            assert_eq!(NameScheme::Legacy.allows_metric(name), metric, "{name}");
            assert_eq!(NameScheme::Utf8.allows_label(name), !name.is_empty(), "{name}");
            assert_eq!(NameScheme::Utf8.allows_metric(name), !name.is_empty(), "{name}");
        }
        for scheme in [NameScheme::Utf8, NameScheme::Legacy] {
            assert_eq!(NameScheme::parse(scheme.name()), Some(scheme));
        }
        assert_eq!(NameScheme::parse("UTF8"), None);
    }
}
