//! Where a redirect leads to, as Go's client sees it. Pure.

use ureq_proto::http::Uri;

/// What `location` means in an answer of `base` (RFC 3986, section 5); `None` if that is no http or https URL.
pub(super) fn resolve(base: &Uri, location: &str) -> Option<Uri> {
    let location = location.split('#').next().unwrap_or_default();
    let (before_query, query) = location.split_once('?').map_or((location, None), |(path, query)| (path, Some(query)));
    let (start, path) = if has_scheme(before_query) {
        let (scheme, rest) = before_query.split_once("://")?;
        split_authority(&format!("{scheme}:"), rest)
    } else if before_query.starts_with("//") && !before_query.starts_with("///") {
        split_authority(&format!("{}:", base.scheme_str()?), &before_query[2..])
    } else {
        let start = format!("{}://{}", base.scheme_str()?, base.authority()?);
        (start, Some(resolve_path(base.path(), before_query)))
    };
    let path = path.unwrap_or_else(|| "/".into());
    let query = if location.is_empty() { base.query() } else { query };
    let uri: Uri = match query {
        Some(query) => format!("{start}{path}?{query}"),
        None => start + &path,
    }
    .parse()
    .ok()?;
    let is_http = matches!(uri.scheme_str(), Some("http" | "https"));
    (is_http && uri.host().is_some_and(|host| !host.is_empty())).then_some(uri)
}

/// What stands up to the end of the authority, and the path if there is one.
fn split_authority(scheme: &str, rest: &str) -> (String, Option<String>) {
    let end = rest.find('/').unwrap_or(rest.len());
    let path = (end < rest.len()).then(|| resolve_path("", &rest[end..]));
    (format!("{scheme}//{}", &rest[..end]), path)
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

/// Go's `resolvePath`: RFC 3986, sections 5.2.3 and 5.2.4, with Go's view of empty segments.
fn resolve_path(base: &str, reference: &str) -> String {
    let full = match reference {
        "" => base.to_owned(),
        absolute if absolute.starts_with('/') => absolute.to_owned(),
        relative => format!("{}{relative}", &base[..base.rfind('/').map_or(0, |slash| slash + 1)]),
    };
    let (mut path, mut is_first) = (String::new(), true);
    for segment in full.split('/') {
        match segment {
            "." => is_first = false,
            ".." => {
                path.truncate(path.rfind('/').unwrap_or(0));
                is_first = path.is_empty();
            }
            segment => {
                if !is_first {
                    path.push('/');
                }
                path += segment;
                is_first = false;
            }
        }
    }
    if full.ends_with("/.") || full.ends_with("/..") || full == "." || full == ".." {
        path.push('/');
    }
    if path.starts_with('/') { path } else { format!("/{path}") }
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
            ("//b/../y/.", Some("http://b/y/")),
            ("///y", Some("http://a:1///y")),
            ("/..//y", Some("http://a:1/y")),
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
