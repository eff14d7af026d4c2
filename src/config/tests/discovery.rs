//! Mistakes in the keys that find targets, each with the line that tells of it.

use super::mistakes::assert_mistakes;

/// Texts below a job's name, and what is wrong with each.
fn assert_job_mistakes(mistakes: &[(&str, &str)]) {
    for (text, line) in mistakes {
        assert_mistakes(&[(&format!("[[scrape_configs]]\njob_name = 'a'\n{text}"), line)]);
    }
}

#[test]
fn mistakes_about_files_are_told_with_their_line() {
    assert_job_mistakes(&[
        (
            "[[scrape_configs.file_sd_configs]]\nfile = ['a.json']",
            "n.toml:4: scrape_configs.file_sd_configs.file: unknown key; did you mean files?",
        ),
        (
            "[[scrape_configs.file_sd_configs]]\nfiles = 'a.json'",
            "n.toml:4: scrape_configs.file_sd_configs.files: is a string; write a list such as [\"targets/*.json\"]",
        ),
        (
            "[[scrape_configs.file_sd_configs]]\nfiles = [1]",
            "n.toml:4: scrape_configs.file_sd_configs.files: is the integer 1; write a string such as \"targets/*.json\"",
        ),
        (
            "[[scrape_configs.file_sd_configs]]\nfiles = []",
            "n.toml:4: scrape_configs.file_sd_configs.files: is empty; write such as [\"targets/*.json\"]",
        ),
        (
            "[[scrape_configs.file_sd_configs]]\nfiles = ['a.txt']",
            "n.toml:4: scrape_configs.file_sd_configs.files: \"a.txt\" does not end in .json, .yml or .yaml; name such a file",
        ),
        (
            "[[scrape_configs.file_sd_configs]]\nfiles = ['*/a.json']",
            "n.toml:4: scrape_configs.file_sd_configs.files: \"*/a.json\" has a pattern in a folder's name; write patterns in the last part only",
        ),
        (
            "[[scrape_configs.file_sd_configs]]\nrefresh_interval = '1m'",
            "n.toml:3: scrape_configs.file_sd_configs.files: is missing; write files = [\"targets/*.json\"]",
        ),
        (
            "[[scrape_configs.file_sd_configs]]\nfiles = ['a.json']\nrefresh_interval = '0s'",
            "n.toml:5: scrape_configs.file_sd_configs.refresh_interval: is zero; write a duration such as \"15s\", or leave the key out",
        ),
        (
            "[[scrape_configs.file_sd_configs]]\nfiles = ['a.json']\nrefresh_interval = 5",
            "n.toml:5: scrape_configs.file_sd_configs.refresh_interval: is the integer 5; write a duration such as \"15s\"",
        ),
        (
            "[[scrape_configs.file_sd_configs]]\nfiles = ['a.json']\nrefresh_interval = 'soon'",
            "n.toml:5: scrape_configs.file_sd_configs.refresh_interval: \"soon\" is not a duration; write it as \"15s\", \"1m30s\" or \"500ms\"",
        ),
        (
            "file_sd_configs = 'a.json'",
            "n.toml:3: scrape_configs.file_sd_configs: is a string; write [[scrape_configs.file_sd_configs]]",
        ),
    ]);
}

#[test]
fn mistakes_about_names_in_the_dns_are_told_with_their_line() {
    assert_job_mistakes(&[
        (
            "[[scrape_configs.dns_sd_configs]]\nname = ['a.example']",
            "n.toml:4: scrape_configs.dns_sd_configs.name: unknown key; did you mean names?",
        ),
        (
            "[[scrape_configs.dns_sd_configs]]\nnames = 'a.example'",
            "n.toml:4: scrape_configs.dns_sd_configs.names: is a string; write a list such as [\"_prometheus._tcp.example\"]",
        ),
        (
            "[[scrape_configs.dns_sd_configs]]\nnames = []",
            "n.toml:4: scrape_configs.dns_sd_configs.names: is empty; write such as [\"_prometheus._tcp.example\"]",
        ),
        (
            "[[scrape_configs.dns_sd_configs]]\nnames = ['a..example']",
            "n.toml:4: scrape_configs.dns_sd_configs.names: \"a..example\" is no domain name; write one such as a.example",
        ),
        (
            "[[scrape_configs.dns_sd_configs]]\ntype = 'A'",
            "n.toml:3: scrape_configs.dns_sd_configs.names: is missing; write names = [\"_prometheus._tcp.example\"]",
        ),
        (
            "[[scrape_configs.dns_sd_configs]]\nnames = ['a.example']\ntype = 'TXT'",
            "n.toml:5: scrape_configs.dns_sd_configs.type: is \"TXT\"; write SRV, A, AAAA, MX or NS",
        ),
        (
            "[[scrape_configs.dns_sd_configs]]\nnames = ['a.example']\ntype = 1",
            "n.toml:5: scrape_configs.dns_sd_configs.type: is the integer 1; write a string such as \"SRV\"",
        ),
        (
            "[[scrape_configs.dns_sd_configs]]\nnames = ['a.example']\ntype = 'A'",
            "n.toml:3: scrape_configs.dns_sd_configs.port: is missing; only SRV records bring one; write such as port = 9100",
        ),
        (
            "[[scrape_configs.dns_sd_configs]]\nnames = ['a.example']\ntype = 'A'\nport = 70000",
            "n.toml:6: scrape_configs.dns_sd_configs.port: is 70000; write a number from 1 to 65535",
        ),
        (
            "[[scrape_configs.dns_sd_configs]]\nnames = ['a.example']\nnameservers = ['ns.example']",
            "n.toml:5: scrape_configs.dns_sd_configs.nameservers: \"ns.example\" is no address; write one such as \"192.0.2.1\"",
        ),
        (
            "[[scrape_configs.dns_sd_configs]]\nnames = ['a.example']\nrefresh_interval = '-1s'",
            "n.toml:5: scrape_configs.dns_sd_configs.refresh_interval: \"-1s\" is not a duration; write it as \"15s\", \"1m30s\" or \"500ms\"",
        ),
        (
            "dns_sd_configs = { names = ['a'] }",
            "n.toml:3: scrape_configs.dns_sd_configs: is a table; write [[scrape_configs.dns_sd_configs]]",
        ),
    ]);
}

#[test]
fn mistakes_about_urls_are_told_with_their_line() {
    assert_job_mistakes(&[
        (
            "[[scrape_configs.http_sd_configs]]\nurls = ['http://a']",
            "n.toml:4: scrape_configs.http_sd_configs.urls: unknown key; did you mean url?",
        ),
        (
            "[[scrape_configs.http_sd_configs]]\nrefresh_interval = '1m'",
            "n.toml:3: scrape_configs.http_sd_configs.url: is missing; write url = \"https://targets.example/list\"",
        ),
        (
            "[[scrape_configs.http_sd_configs]]\nurl = 1",
            "n.toml:4: scrape_configs.http_sd_configs.url: is not a string; write it in quotes",
        ),
        (
            "[[scrape_configs.http_sd_configs]]\nurl = 'a'",
            "n.toml:4: scrape_configs.http_sd_configs.url: does not start with http:// or https://; write one such as \"https://targets.example/list\"",
        ),
        (
            "[[scrape_configs.http_sd_configs]]\nurl = 'ftp://user:secret@a/x'",
            "n.toml:4: scrape_configs.http_sd_configs.url: does not start with http:// or https://; write one such as \"https://targets.example/list\"",
        ),
        (
            "[[scrape_configs.http_sd_configs]]\nurl = 'http://user name/secret'",
            "n.toml:4: scrape_configs.http_sd_configs.url: is not a URL; write one such as \"https://targets.example/list\"",
        ),
        (
            "[[scrape_configs.http_sd_configs]]\nurl = 'http://a'\nrefresh_interval = '0s'",
            "n.toml:5: scrape_configs.http_sd_configs.refresh_interval: is zero; write a duration such as \"15s\", or leave the key out",
        ),
        (
            "[[scrape_configs.http_sd_configs]]\nurl = 'http://a'\nbasic_auth = { user = 'a' }",
            "n.toml:5: scrape_configs.http_sd_configs.basic_auth.user: unknown key; the nearest are username, password, username_file, and docs/configuration.md has them all",
        ),
        (
            "http_sd_configs = ['http://a']",
            "n.toml:3: scrape_configs.http_sd_configs: is a string; write [[scrape_configs.http_sd_configs]]",
        ),
    ]);
}

#[test]
fn mistakes_about_the_local_link_are_told_with_their_line() {
    assert_job_mistakes(&[
        (
            "[[scrape_configs.mdns_sd_configs]]\nservice_type = '_http._tcp'",
            "n.toml:4: scrape_configs.mdns_sd_configs.service_type: unknown key; did you mean service_types?",
        ),
        (
            "[[scrape_configs.mdns_sd_configs]]\nservice_types = '_http._tcp'",
            "n.toml:4: scrape_configs.mdns_sd_configs.service_types: is a string; write a list such as [\"_prometheus-http._tcp\"]",
        ),
        (
            "[[scrape_configs.mdns_sd_configs]]\nservice_types = []",
            "n.toml:4: scrape_configs.mdns_sd_configs.service_types: is empty; write such as [\"_prometheus-http._tcp\"]",
        ),
        (
            "[[scrape_configs.mdns_sd_configs]]\nservice_types = ['http']",
            "n.toml:4: scrape_configs.mdns_sd_configs.service_types: \"http\" is no service type; write one such as _http._tcp",
        ),
        (
            "[[scrape_configs.mdns_sd_configs]]\nrefresh_interval = '1m'",
            "n.toml:4: scrape_configs.mdns_sd_configs.refresh_interval: unknown key; the keys here are service_types",
        ),
        (
            "mdns_sd_configs = true",
            "n.toml:3: scrape_configs.mdns_sd_configs: is true; write [[scrape_configs.mdns_sd_configs]]",
        ),
    ]);
}
