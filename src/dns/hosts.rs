//! `/etc/hosts`: addresses of names that no server is asked for.

use super::scope::parse_address;
use crate::limits::HOSTS_BYTES_MAX;
use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;

const HOSTS: &str = "/etc/hosts";

/// The addresses of a host; none if it is not listed, or there is no such file. Read anew each time, line by line, since it may
/// change and some devices keep long lists there.
pub fn addresses_of(host: &str, port: u16) -> Vec<SocketAddr> {
    let Ok(file) = File::open(HOSTS) else { return Vec::new() };
    let lines = BufReader::new(file.take(HOSTS_BYTES_MAX)).split(b'\n').map_while(Result::ok);
    find(lines, host, port)
}

/// All that the lines say of it, in their order.
fn find(lines: impl Iterator<Item = Vec<u8>>, host: &str, port: u16) -> Vec<SocketAddr> {
    let host = host.strip_suffix('.').unwrap_or(host);
    let mut found = Vec::new();
    for line in lines {
        let text = String::from_utf8_lossy(&line);
        let mut words = text.split('#').next().unwrap_or_default().split_ascii_whitespace();
        let Some(address) = words.next() else { continue };
        if words.any(|name| name.strip_suffix('.').unwrap_or(name).eq_ignore_ascii_case(host))
            && let Some(Ok(address)) = parse_address(address, port)
            && !found.contains(&address)
        {
            found.push(address);
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_has_every_address_that_is_listed_for_it() {
        let text = "127.0.0.1\tlocalhost\n# 192.0.2.9 plc\n192.0.2.1 plc.example  PLC # the old one\n::1 localhost\n\
                    2001:db8::1 plc\n192.0.2.1 plc\nfe80::1%7 near\nnonsense plc\n\n192.0.2.3";
        for (host, expected) in [
            ("localhost", "127.0.0.1:9 [::1]:9"),
            ("plc", "192.0.2.1:9 [2001:db8::1]:9"),
            ("Plc.Example.", "192.0.2.1:9"),
            ("near", "[fe80::1%7]:9"),
            ("old", ""),
            ("", ""),
        ] {
            let found = find(text.split('\n').map(|line| line.as_bytes().to_vec()), host, 9);
            let shown: Vec<String> = found.iter().map(SocketAddr::to_string).collect();
            assert_eq!(shown.join(" "), expected, "{host}");
        }
    }
}
