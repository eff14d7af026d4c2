//! The options of an HTTP client: what is read of them, what is shown, and every mistake with the line that tells of it.

use super::mistakes::assert_mistakes;
use super::*;
use crate::http_client::{Auth, ProxyChoice};
use crate::secrets::SecretSource;
use crate::tls::TlsVersion;

/// Each table that has a client's options, with its first lines.
const USERS: [(&str, &str); 2] = [
    ("scrape_configs", "[[scrape_configs]]\njob_name = 'a'\n"),
    ("remote_write", "buffer.path = 'r'\n[[remote_write]]\nurl = 'http://a'\n"),
];

/// A client with every option, but that only one kind of authentication can be.
const WHOLE: &str = r#"
follow_redirects = false
enable_http2 = true
proxy_url = "http://user:hunter2@proxy.example:3128"
no_proxy = "10.0.0.0/8,.local"
proxy_connect_header = { X-Way = ["hunter2"] }
http_headers = { X-Tenant = { values = ["a", "b"], secrets = ["hunter2"], files = ["tenant"] } }

[USER.tls_config]
ca = "-----BEGIN CERTIFICATE-----"
cert_file = "cert.pem"
key = "hunter2"
server_name = "metrics.example"
insecure_skip_verify = true
min_version = "TLS12"
max_version = "TLS13"

[USER.oauth2]
client_id = "device-7"
client_secret = "hunter2"
token_url = "https://login.example/token"
scopes = ["metrics", "write"]
endpoint_params = { audience = "x" }
grant_type = "client_credentials"
tls_config = { key_file = "key.pem", cert = "-----BEGIN CERTIFICATE-----", min_version = "TLS13" }
proxy_from_environment = true
"#;

#[test]
fn every_option_is_read_wherever_clients_are() {
    for (user, start) in USERS {
        let config = valid(&(start.to_owned() + &WHOLE.replace("USER", user)));
        let http = config.jobs.first().map_or_else(|| &config.endpoints[0].http, |job| &job.http);
        assert!(!http.follow_redirects && http.tls.insecure_skip_verify);
        let ProxyChoice::Url { url, no_proxy } = &http.proxy.choice else { panic!("{:?}", http.proxy) };
        assert_eq!(
            (url.to_string().as_str(), no_proxy.as_str()),
            ("http://user:<secret>@proxy.example:3128", "10.0.0.0/8,.local")
        );
        assert_eq!(http.http_headers[0].files, [Path::new("/etc/narthex/tenant")]);
        let Auth::OAuth2(oauth2) = &http.auth else { panic!("{:?}", http.auth) };
        assert_eq!((oauth2.client_id.as_str(), oauth2.scopes.len()), ("device-7", 2));
        assert_eq!(
            (oauth2.tls.min_version, &oauth2.proxy.choice),
            (Some(TlsVersion::Tls13), &ProxyChoice::Environment)
        );
        let identity = oauth2.tls.identity.as_ref().unwrap();
        assert_eq!(identity.key, SecretSource::File("/etc/narthex/key.pem".into()));
        assert!(!format!("{config:?}").contains("hunter2"));
        assert!(config.has_inline_secret());
    }
}

#[test]
fn every_option_is_shown_without_its_secrets_and_read_again() {
    for (user, start) in USERS {
        for auth in [
            "",
            "basic_auth = { username_file = 'u', password = 'hunter2' }\n",
            "basic_auth = { username = 'u' }\n",
            "authorization = { type = 'Token', credentials = 'hunter2' }\n",
            "proxy_from_environment = true\nproxy_connect_header.A = ['hunter2']\n",
            WHOLE,
        ] {
            let config = valid(&(start.to_owned() + &auth.replace("USER", user)));
            let shown = config.to_toml();
            assert!(!shown.contains("hunter2"), "{shown}");
            let again = valid(&shown.replace(Secret::MASK, "hunter2"));
            assert_eq!(again.to_toml(), shown);
            assert_eq!(format!("{:?}", again.jobs), format!("{:?}", config.jobs));
            assert_eq!(
                again.endpoints.iter().map(|e| &e.http).collect::<Vec<_>>(),
                config.endpoints.iter().map(|e| &e.http).collect::<Vec<_>>()
            );
        }
    }
}

#[test]
fn a_configuration_holds_a_secret_wherever_one_can_stand() {
    for (client, holds) in [
        ("basic_auth = { username = 'u' }", false),
        ("basic_auth = { username = 'u', password = 'x' }", true),
        ("authorization.credentials = 'x'", true),
        ("authorization.credentials_file = 'x'", false),
        ("oauth2 = { client_id = 'a', token_url = 'http://t', client_secret = 'x' }", true),
        ("oauth2 = { client_id = 'a', token_url = 'http://t', client_secret_file = 'x' }", false),
        ("http_headers.A = { values = ['x'], files = ['x'] }", false),
        ("http_headers.A.secrets = ['x']", true),
        ("proxy_url = 'http://p'", false),
        ("proxy_url = 'http://u:x@p'", true),
        ("proxy_url = 'http://p'\nproxy_connect_header.A = ['x']", true),
        ("tls_config = { cert_file = 'c', key_file = 'k' }", false),
        ("tls_config = { cert_file = 'c', key = '-----BEGIN ' }", true),
    ] {
        for (_, start) in USERS {
            assert_eq!(valid(&format!("{start}{client}")).has_inline_secret(), holds, "{client}");
        }
    }
}

#[test]
fn credentials_that_can_not_be_are_refused() {
    assert_refused(&[
        (
            "bearer_token = 'hunter2'",
            1,
            "bearer_token: is what Prometheus had before authorization; write authorization = { credentials = \"...\" }",
        ),
        (
            "bearer_token_file = 'f'",
            1,
            "bearer_token_file: is what Prometheus had before authorization; write authorization = { credentials_file = \"...\" }",
        ),
        ("follow_redirects = 1", 1, "follow_redirects: is the integer 1; write true or false"),
        ("enable_http2 = 'no'", 1, "enable_http2: is a string; write true or false"),
        (
            "basic_auth = { username = 'u', username_file = 'f' }",
            1,
            "basic_auth.username_file: conflicts with username; remove one of them",
        ),
        ("basic_auth = { password_ref = 'f' }", 1, "basic_auth.password_ref: is not supported by Narthex; remove it"),
    ]);
}

#[test]
fn token_servers_that_can_not_be_are_refused() {
    assert_refused(&[
        (
            "authorization.credentials = 'hunter2'\noauth2 = { client_id = 'a', token_url = 'http://t' }",
            2,
            "oauth2: conflicts with authorization; remove one of them",
        ),
        ("oauth2 = {}\nbasic_auth = { username = 'u' }", 1, "oauth2: conflicts with basic_auth; remove one of them"),
        ("oauth2 = { token_url = 'http://t' }", 1, "oauth2.client_id: is missing; write client_id = \"device-7\""),
        (
            "oauth2 = { client_id = '', token_url = 'http://t' }",
            1,
            "oauth2.client_id: is empty; write the name that the token server knows this client by",
        ),
        (
            "oauth2 = { client_id = 'a' }",
            1,
            "oauth2.token_url: is missing; write token_url = \"https://login.example/oauth2/token\"",
        ),
        (
            "oauth2 = { client_id = 'a', token_url = 'http://u:hunter2@t' }",
            1,
            "oauth2.token_url: is not an http or https URL without a user; write one such as \"https://login.example/oauth2/token\"",
        ),
        (
            "oauth2 = { client_id = 'a', token_url = 'http://t', client_secret = 'hunter2', client_secret_file = 'f' }",
            1,
            "oauth2.client_secret_file: conflicts with client_secret; remove one of them",
        ),
        (
            "oauth2 = { client_id = 'a', token_url = 'http://t', grant_type = 'urn:ietf:params:oauth:grant-type:jwt-bearer' }",
            1,
            "oauth2.grant_type: is not supported; Narthex asks for tokens with client_id and client_secret only: write \"client_credentials\"",
        ),
        (
            "oauth2 = { client_id = 'a', token_url = 'http://t', scopes = ['x'], endpoint_params.scope = 'y' }",
            1,
            "oauth2.endpoint_params: has a scope, which conflicts with scopes; remove one of them",
        ),
        (
            "oauth2 = { client_id = 'a', token_url = 'http://t', claims = {} }",
            1,
            "oauth2.claims: is not supported by Narthex; remove it",
        ),
    ]);
}

#[test]
fn tls_options_that_can_not_be_are_refused() {
    assert_refused(&[
        (
            "tls_config = { ca = 'x' }",
            1,
            "tls_config.ca: is not PEM, which has a line -----BEGIN CERTIFICATE-----; write that, or name a file in ca_file",
        ),
        (
            "tls_config = { ca = '-----BEGIN ', ca_file = 'f' }",
            1,
            "tls_config.ca_file: conflicts with ca; remove one of them",
        ),
        (
            "tls_config = { cert_file = 'f' }",
            1,
            "tls_config.key_file: is missing beside the certificate; write key_file or key, too",
        ),
        (
            "tls_config = { key_file = 'f' }",
            1,
            "tls_config.cert_file: is missing beside the key; write cert_file or cert, too",
        ),
        (
            "tls_config = { min_version = 'TLS11' }",
            1,
            "tls_config.min_version: is a version that was broken and that Narthex does not speak; write \"TLS12\" or \"TLS13\"",
        ),
        (
            "tls_config = { max_version = 'SSL3' }",
            1,
            "tls_config.max_version: \"SSL3\" is not a version; write \"TLS12\" or \"TLS13\"",
        ),
        (
            "tls_config = { min_version = 'TLS13', max_version = 'TLS12' }",
            1,
            "tls_config.max_version: \"TLS12\" is below min_version \"TLS13\"; write \"TLS13\" or more",
        ),
        (
            "tls_config = { server_name = 'a b' }",
            1,
            "tls_config.server_name: \"a b\" is not a host's name; write one such as \"metrics.example\"",
        ),
    ]);
}

#[test]
fn proxies_and_headers_that_can_not_be_are_refused() {
    assert_refused(&[
        (
            "proxy_url = 'proxy:3128'",
            1,
            "proxy_url: is not a proxy's URL; write one such as \"http://proxy.example:3128\"",
        ),
        (
            "proxy_url = 'http://u:<secret>@p'",
            1,
            "proxy_url: has what Narthex shows instead of a password; write it itself",
        ),
        (
            "proxy_url = 'socks5://u:hunter2@p'",
            1,
            "proxy_url: is not an http proxy, the only kind that Narthex can ask (for https URLs, too); write one such as \"http://proxy.example:3128\"",
        ),
        (
            "proxy_url = 'http://p'\nproxy_from_environment = true",
            2,
            "proxy_from_environment: conflicts with proxy_url; remove one of them",
        ),
        (
            "proxy_from_environment = true\nno_proxy = 'a'",
            2,
            "no_proxy: stands beside proxy_from_environment, which takes NO_PROXY; remove it",
        ),
        ("no_proxy = 'a'", 1, "no_proxy: is of no use without proxy_url; write that, too, or remove it"),
        (
            "proxy_connect_header.A = ['x']",
            1,
            "proxy_connect_header: is of no use without proxy_url or proxy_from_environment; write one of them, or remove it",
        ),
        (
            "proxy_url = 'http://p'\nproxy_connect_header.A = 'hunter2'",
            2,
            "proxy_connect_header.A: is a string; write a list such as [\"a\"]",
        ),
        (
            "http_headers.Host.values = ['x']",
            1,
            "http_headers.Host: is set by Narthex itself, or by other keys (as in Prometheus); remove it",
        ),
        (
            "http_headers.AUTHORIZATION.secrets = ['hunter2']",
            1,
            "http_headers.AUTHORIZATION: is set by Narthex itself, or by other keys (as in Prometheus); remove it",
        ),
        (
            "http_headers.'a b'.values = ['x']",
            1,
            "http_headers.\"a b\": \"a b\" is not a header's name; write one such as X-Tenant",
        ),
        ("http_headers.A.values = ['x\\n']", 0, ""),
        (
            "http_headers.A.values = [\"x\\n\"]",
            1,
            "http_headers.A.values: has a line break or control character, which no header may hold; remove it",
        ),
        (
            "http_headers.A.secrets = [\"hunter2\\r\"]",
            1,
            "http_headers.A.secrets: has a line break or control character, which no header may hold; remove it",
        ),
        ("http_headers.A.value = ['x']", 1, "http_headers.A.value: unknown key; did you mean values?"),
        ("http_headers.A = 'x'", 1, "http_headers.A: is a string; write { values = [\"a\"] }"),
    ]);
}

/// A configuration with this client is refused, whoever uses it, at this line of it and for this problem; on line 0 it is not.
fn assert_refused(cases: &[(&str, usize, &str)]) {
    for &(client, line, problem) in cases {
        for (user, start) in USERS {
            let text = format!("{start}{client}");
            let lines_before = start.lines().count();
            match line {
                0 => drop(valid(&text)),
                _ => assert_mistakes(&[(&text, &format!("n.toml:{}: {user}.{problem}", lines_before + line))]),
            }
        }
        assert!(!problem.contains("hunter2"));
    }
}

#[test]
fn plain_headers_of_an_endpoint_are_those_that_prometheus_takes() {
    let (_, start) = USERS[1];
    let config =
        valid(&format!("{start}headers = {{ X-Scope-OrgID = 'fleet', X-Prometheus-Scrape-Timeout-Seconds = '1' }}"));
    let own = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    assert_eq!(
        config.endpoints[0].headers,
        [own("X-Prometheus-Scrape-Timeout-Seconds", "1"), own("X-Scope-OrgID", "fleet")]
    );
    assert!(config.to_toml().contains("[remote_write.headers]\n"));
    for (header, problem) in [
        (
            "authorization = 'hunter2'",
            "headers.authorization: is made of basic_auth, authorization or oauth2; write one of them instead",
        ),
        (
            "Content-Type = 'x'",
            "headers.Content-Type: is set by Narthex itself, or by other keys (as in Prometheus); remove it",
        ),
        ("X-A = 1", "headers.X-A: is the integer 1; write a string such as \"a\""),
    ] {
        assert_mistakes(&[(&format!("{start}headers.{header}"), &format!("n.toml:4: remote_write.{problem}"))]);
    }
}
