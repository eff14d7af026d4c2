//! Whatever a target sends, its scrape fails with a clear reason, memory stays bounded, and no other target is harmed.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Type: text/plain; version=0.0.4\r\n";

/// What the process may hold at its worst: all of these targets are scraped at once.
const PEAK_KIB_MAX: u64 = 100 * 1024;

/// A server that sends what it likes to whoever asks. The answer is its address.
fn target(send: impl Fn(&mut TcpStream) -> std::io::Result<()> + Send + 'static) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    thread::spawn(move || {
        for mut connection in listener.incoming().flatten() {
            loop {
                let mut reader = BufReader::new(&connection);
                let mut head = String::new();
                while !head.ends_with("\r\n\r\n") && reader.read_line(&mut head).is_ok_and(|read| read > 0) {}
                // Who asked may have heard enough before the end.
                if head.is_empty() || send(&mut connection).is_err() {
                    break;
                }
            }
        }
    });
    address
}

/// The same bytes behind the head, as often as they are wanted.
fn endless(bytes: &'static [u8]) -> String {
    target(move |connection| {
        write!(connection, "{OK}\r\n")?;
        loop {
            connection.write_all(bytes)?;
        }
    })
}

fn sized(headers: &str, body: Vec<u8>) -> String {
    let head = format!("{OK}{headers}Content-Length: {}\r\n\r\n", body.len());
    target(move |connection| {
        connection.write_all(head.as_bytes())?;
        connection.write_all(&body)
    })
}

fn gzip(data: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255];
    bytes.extend(miniz_oxide::deflate::compress_to_vec(data, 6));
    bytes.extend(crc32fast::hash(data).to_le_bytes());
    bytes.extend((data.len() as u32).to_le_bytes());
    bytes
}

/// Each with the reason that has to be told.
fn hostile_targets() -> Vec<(String, &'static str)> {
    let million_labels: String = (0..1_000_000).map(|i| format!("l{i}=\"v\",")).collect();
    let thousand_labels: String = (0..1000).map(|i| format!("l{i}=\"v\",")).collect();
    let million_series: String = (0..1_000_000).map(|i| format!("m{i} 1\n")).collect();
    vec![
        (endless(b"a_metric 1\n"), "body size limit exceeded"),
        (endless(b"aaaaaaaaaaaaaaaa"), "a line of the page is longer than 131072 bytes"),
        (sized("", format!("m{{{million_labels}}} 1\n").into()), "a line of the page is longer than 131072 bytes"),
        (sized("", format!("m{{{thousand_labels}}} 1\n").into()), "labels"),
        (sized("", million_series.into()), "the page has more than 262144 series"),
        (sized("Content-Encoding: gzip\r\n", gzip(&b"a 1\n".repeat(5_000_000))), "body size limit exceeded"),
        (sized("Content-Encoding: gzip\r\n", gzip(&b"a 1\n".repeat(100))[..30].to_vec()), "data ends before its end"),
        (
            target(|connection| {
                write!(connection, "{OK}Content-Length: 1000\r\n\r\n")?;
                loop {
                    connection.write_all(b"a")?;
                    thread::sleep(Duration::from_millis(50));
                }
            }),
            "timed out after 1s",
        ),
        (
            target(|connection| {
                write!(connection, "{OK}")?;
                loop {
                    connection.write_all(b"X-Header: value\r\n")?;
                }
            }),
            "headers",
        ),
        (
            target(|connection| {
                connection.write_all(b"HTTP/1.1 302 Found\r\nLocation: /metrics\r\nContent-Length: 0\r\n\r\n")
            }),
            "stopped after 10 redirects",
        ),
    ]
}

#[test]
fn hostile_targets_harm_no_other() {
    let hostile = hostile_targets();
    let fine = sized("", b"fine 1\n".to_vec());
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("n.toml");
    let addresses: Vec<&str> = hostile.iter().map(|(address, _)| address.as_str()).chain([&*fine]).collect();
    let (slow, quick): (Vec<&str>, Vec<&str>) = addresses.iter().partition(|address| {
        hostile.iter().any(|(other, reason)| other == **address && reason.starts_with("timed out"))
    });
    let job = |name, timeout, targets| {
        format!(
            "[[scrape_configs]]\njob_name = '{name}'\nscrape_timeout = '{timeout}'\n\
             static_configs = [{{ targets = {targets:?} }}]\n"
        )
    };
    let config = format!("limits.max_series = 5000\n{}{}", job("a", "50s", quick), job("slow", "1s", slow));
    fs::write(&file, config).unwrap();
    let mut scrape = Command::new(env!("CARGO_BIN_EXE_narthex"))
        .args(["scrape", "--config", file.to_str().unwrap()])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut peak_kib = 0;
    while scrape.try_wait().unwrap().is_none() {
        let status = fs::read_to_string(format!("/proc/{}/status", scrape.id())).unwrap_or_default();
        let peak =
            status.lines().find_map(|line| line.strip_prefix("VmHWM:")?.trim().strip_suffix(" kB")?.parse().ok());
        peak_kib = peak_kib.max(peak.unwrap_or(0));
        thread::sleep(Duration::from_millis(5));
    }
    let (mut samples, mut reasons) = (String::new(), String::new());
    scrape.stdout.take().unwrap().read_to_string(&mut samples).unwrap();
    scrape.stderr.take().unwrap().read_to_string(&mut reasons).unwrap();
    for (address, reason) in &hostile {
        let told = reasons.lines().find(|line| line.contains(address.as_str())).unwrap_or("nothing");
        assert!(told.contains(reason) && told.len() < 500, "{reason}: {told}");
        assert!(samples.contains(&format!("up{{instance=\"{address}\",job=")), "{reason}");
        assert!(!samples.contains(&format!("up{{instance=\"{address}\",job=\"a\"}} 1 ")), "{reason}");
    }
    assert!(samples.contains(&format!("fine{{instance=\"{fine}\",job=\"a\"}} 1 ")), "{samples}");
    assert!(peak_kib > 0 && peak_kib < PEAK_KIB_MAX, "{peak_kib} KiB at the worst");
    println!("{peak_kib} KiB at the worst");
}
