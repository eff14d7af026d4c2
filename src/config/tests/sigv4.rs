//! `sigv4` of an endpoint.

use super::mistakes::assert_mistakes;
use super::*;
use crate::http_client::{Auth, SigV4Options};
use crate::secrets::SecretSource;

const START: &str = "buffer.path = 'r'\n[[remote_write]]\nurl = 'https://a'\n";

#[test]
fn what_signs_requests_is_read_and_shown_without_its_secret() {
    let whole = "region = 'eu-central-1'\naccess_key = 'AKIA7'";
    for (keys, secret_key, service) in [
        ("secret_key = 'hunter2'", SecretSource::Inline(Secret::new("hunter2")), "aps"),
        ("secret_key_file = 'key'\nservice_name = 'es'", SecretSource::File("/etc/narthex/key".into()), "es"),
    ] {
        let config = valid(&format!("{START}[remote_write.sigv4]\n{whole}\n{keys}\n"));
        let expected = SigV4Options {
            region: "eu-central-1".into(),
            service: service.into(),
            access_key: "AKIA7".into(),
            secret_key,
        };
        assert_eq!(config.endpoints[0].http.auth, Auth::SigV4(Box::new(expected)));
        assert_eq!(config.has_inline_secret(), service == "aps");
        let shown = config.to_toml();
        assert!(!shown.contains("hunter2") && shown.contains("[remote_write.sigv4]"), "{shown}");
        let again = valid(&shown.replace(Secret::MASK, "hunter2"));
        assert_eq!(again.endpoints[0].http, config.endpoints[0].http);
    }
}

#[test]
fn what_can_not_sign_is_refused() {
    for (keys, problem) in [
        ("", "4: remote_write.sigv4.region: is missing; write region = \"eu-central-1\""),
        (
            "region = ''",
            "4: remote_write.sigv4.region: \"\" is not a name as AWS gives it; write one such as \"eu-central-1\"",
        ),
        ("region = 'a'", "4: remote_write.sigv4.access_key: is missing; write access_key = \"AKIA...\""),
        (
            "region = 'a', access_key = 'k/l', secret_key = 's'",
            "4: remote_write.sigv4.access_key: \"k/l\" is not a name as AWS gives it; write one such as \"AKIA...\"",
        ),
        (
            "region = 'a', access_key = 'k'",
            "4: remote_write.sigv4.secret_key: is missing; write secret_key or secret_key_file",
        ),
        (
            "region = 'a', access_key = 'k', secret_key = 'hunter2', secret_key_file = 'f'",
            "4: remote_write.sigv4.secret_key_file: conflicts with secret_key; remove one of them",
        ),
        (
            "profile = 'p'",
            "4: remote_write.sigv4.profile: is not supported: the files of AWS's tools are not read; write access_key and \
             secret_key, or secret_key_file",
        ),
        (
            "role_arn = 'r'",
            "4: remote_write.sigv4.role_arn: is not supported: no role is assumed, which takes a token service; write the keys \
             of a user who may do nothing but write",
        ),
        (
            "region = 'a', access_key = 'k', secret_key = 'hunter2' }\nbasic_auth = { username = 'u'",
            "4: remote_write.sigv4: conflicts with basic_auth, authorization or oauth2; remove one of them",
        ),
    ] {
        assert_mistakes(&[(&format!("{START}sigv4 = {{ {keys} }}"), &format!("n.toml:{problem}"))]);
    }
}
