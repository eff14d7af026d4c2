//! Where a redirect leads to, as Go's client sees it. Pure.

use ureq_proto::http::Uri;

/// What `location` means in an answer of `base` (RFC 3986, section 5); `None` if that is no http or https URL.
pub(super) fn resolve(base: &Uri, location: &str) -> Option<Uri> {
    let location = location.split('#').next().unwrap_or_default();
    let (scheme, authority) = (base.scheme_str()?, base.authority()?.as_str());
    let text = if has_scheme(location) {
        location.to_owned()
    } else if let Some(rest) = location.strip_prefix("//") {
        format!("{scheme}://{rest}")
    } else {
        let (path, query) = location.split_once('?').map_or((location, None), |(path, query)| (path, Some(query)));
        let path = match path {
            "" => base.path().to_owned(),
            path if path.starts_with('/') => without_dots(path),
            path => without_dots(&format!("{}/{path}", base.path().rsplit_once('/').map_or("", |(folder, _)| folder))),
        };
        let query = if location.is_empty() { base.query() } else { query };
        format!("{scheme}://{authority}{path}{}{}", if query.is_some() { "?" } else { "" }, query.unwrap_or_default())
    };
    let uri: Uri = text.parse().ok()?;
    let is_http = matches!(uri.scheme_str(), Some("http" | "https"));
    (is_http && uri.host().is_some_and(|host| !host.is_empty())).then_some(uri)
}

/// Whether credentials may not go to `host`, when the first request went to `first`: it is neither that host nor under it.
pub(super) fn is_foreign(host: &str, first: &str) -> bool {
    let (host, first) = (host.to_ascii_lowercase(), first.to_ascii_lowercase());
    if host == first {
        return false;
    }
    // An IPv6 address may end in anything.
    let is_under = !host.contains([':', '%']) && host.strip_suffix(&first).is_some_and(|above| above.ends_with('.'));
    first.is_empty() || !is_under
}

fn has_scheme(location: &str) -> bool {
    let Some((scheme, _)) = location.split_once(':') else { return false };
    scheme.starts_with(|c: char| c.is_ascii_alphabetic())
        && scheme.chars().all(|c| c.is_ascii_alphanumeric() || "+-.".contains(c))
}

/// RFC 3986, section 5.2.4, for a path that starts with a slash.
fn without_dots(path: &str) -> String {
    let mut kept: Vec<&str> = Vec::new();
    let mut ends_in_folder = false;
    for segment in path.split('/').skip(1) {
        ends_in_folder = matches!(segment, "." | "..");
        match segment {
            "." => {}
            ".." => drop(kept.pop()),
            segment => kept.push(segment),
        }
    }
    let end = if ends_in_folder && !kept.is_empty() { "/" } else { "" };
    format!("/{}{end}", kept.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn locations_are_taken_as_go_takes_them() {
        for (location, expected) in [
            ("https://b/x", Some("https://b/x")),
            ("HTTP://b/x", Some("http://b/x")),
            ("//b:2/y?q=1", Some("http://b:2/y?q=1")),
            ("/c", Some("http://a:1/c")),
            ("/c/../d/./e", Some("http://a:1/d/e")),
            ("c", Some("http://a:1/m/c")),
            ("../c?d", Some("http://a:1/c?d")),
            ("../../../c", Some("http://a:1/c")),
            ("./", Some("http://a:1/m/")),
            ("..", Some("http://a:1/")),
            ("?z=2", Some("http://a:1/m/p?z=2")),
            ("#there", Some("http://a:1/m/p?q=1")),
            ("", Some("http://a:1/m/p?q=1")),
            ("c:1/x", None),
            ("ftp://b/", None),
            ("http://", None),
            ("http:///x", None),
            ("/a b", None),
        ] {
            let uri = resolve(&"http://a:1/m/p?q=1".parse().unwrap(), location);
            assert_eq!(uri.map(|uri| uri.to_string()).as_deref(), expected, "{location:?}");
        }
    }

    #[test]
    fn credentials_stay_with_the_host_and_those_under_it() {
        for (host, first, foreign) in [
            ("a.example", "a.example", false),
            ("A.example", "a.EXAMPLE", false),
            ("b.a.example", "a.example", false),
            ("a.example", "b.a.example", true),
            ("xa.example", "a.example", true),
            ("127.0.0.1", "localhost", true),
            ("::1%.a.example", "a.example", true),
            ("a", "", true),
        ] {
            assert_eq!(is_foreign(host, first), foreign, "{host} {first}");
        }
    }
}
