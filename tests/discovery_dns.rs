//! Targets that the built agent learns of by DNS: from a name server, and from devices on the local link.

mod support;

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, UdpSocket};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;
use support::targets::*;
use support::*;

const A: u16 = 1;
const PTR: u16 = 12;
const TXT: u16 = 16;
const SRV: u16 = 33;

fn name(text: &str) -> Vec<u8> {
    let labels = text.split('.').flat_map(|label| [&[label.len() as u8], label.as_bytes()].concat());
    labels.chain([0]).collect()
}

fn record(owner: &str, kind: u16, ttl_s: u32, data: &[u8]) -> Vec<u8> {
    let mut out = name(owner);
    [kind, 1].iter().for_each(|number| out.extend(number.to_be_bytes()));
    out.extend(ttl_s.to_be_bytes());
    out.extend((data.len() as u16).to_be_bytes());
    [out, data.to_vec()].concat()
}

fn srv(owner: &str, port: u16, target: &str) -> Vec<u8> {
    record(owner, SRV, 120, &[&[0, 0, 0, 0][..], &port.to_be_bytes(), &name(target)].concat())
}

/// An answer to a query: its question again, and these records.
fn answer(query: &[u8], flags: u16, answers: &[Vec<u8>]) -> Vec<u8> {
    let question_end = 12 + query[12..].iter().position(|byte| *byte == 0).unwrap() + 5;
    let mut out = query[..2].to_vec();
    [flags, 1, answers.len() as u16, 0, 0].iter().for_each(|number| out.extend(number.to_be_bytes()));
    out.extend(&query[12..question_end]);
    out.extend(answers.concat());
    out
}

/// What a name server has: its records, or the code of its refusal.
type Zone = Arc<Mutex<Result<Vec<Vec<u8>>, u16>>>;

/// A name server over UDP and TCP. Over UDP it cuts off what has more than three records.
struct NameServer {
    address: SocketAddr,
    zone: Zone,
    asked_over_tcp: Arc<AtomicUsize>,
}

impl NameServer {
    fn start() -> NameServer {
        let (udp, tcp) = eventually("a port for both", PATIENCE, || {
            let tcp = TcpListener::bind("127.0.0.1:0").unwrap();
            UdpSocket::bind(tcp.local_addr().unwrap()).ok().map(|udp| (udp, tcp))
        });
        let server = NameServer {
            address: tcp.local_addr().unwrap(),
            zone: Arc::new(Mutex::new(Ok(vec![]))),
            asked_over_tcp: Arc::default(),
        };
        let zone = server.zone.clone();
        thread::spawn(move || {
            let mut query = [0; 512];
            while let Ok((received, from)) = udp.recv_from(&mut query) {
                let said = match &*zone.lock().unwrap() {
                    Ok(records) if records.len() > 3 => answer(&query[..received], 0x8380, &records[..1]),
                    Ok(records) => answer(&query[..received], 0x8180, records),
                    Err(code) => answer(&query[..received], 0x8180 | code, &[]),
                };
                // An answer to something else comes first: it has to be passed over.
                let mut forged = said.clone();
                forged[0] ^= 1;
                udp.send_to(&forged, from).unwrap();
                udp.send_to(&said, from).unwrap();
            }
        });
        let (zone, asked_over_tcp) = (server.zone.clone(), server.asked_over_tcp.clone());
        thread::spawn(move || {
            for mut stream in tcp.incoming().flatten() {
                let mut len = [0; 2];
                stream.read_exact(&mut len).unwrap();
                let mut query = vec![0; usize::from(u16::from_be_bytes(len))];
                stream.read_exact(&mut query).unwrap();
                asked_over_tcp.fetch_add(1, Ordering::SeqCst);
                let Ok(records) = &*zone.lock().unwrap() else { continue };
                let said = answer(&query, 0x8180, records);
                stream.write_all(&[&(said.len() as u16).to_be_bytes()[..], &said].concat()).unwrap();
            }
        });
        server
    }

    fn has(&self, records: Result<Vec<Vec<u8>>, u16>) {
        *self.zone.lock().unwrap() = records;
    }

    fn job(&self, more: &str) -> String {
        format!("dns_sd_configs = [{{ {more}, refresh_interval = '200ms', nameservers = ['{}'] }}]", self.address)
    }
}

#[test]
fn names_that_change_fail_and_vanish_are_followed() {
    let folder = tempfile::tempdir().unwrap();
    let (a, b, receiver, dns) = (constant(1), constant(2), Receiver::start(), NameServer::start());
    let of = |server: &Server| srv("_m._tcp.test", server.address.port(), "127.0.0.1");
    dns.has(Ok(vec![of(&a)]));
    let agent = Agent::start(folder.path(), &config(&receiver, &dns.job("names = ['_m._tcp.test.']")));
    let up = |server: &Server| format!("up{{instance={:?}", server.address.to_string());
    wait_for(&receiver, &up(&a), "added", is_up);

    dns.has(Err(2));
    agent.wait_for_log("refuses to tell _m._tcp.test. (code 2)");
    let before = receiver.series(&up(&a)).len();
    wait_for(&receiver, &up(&a), "goes on though nobody tells of it", |samples| samples.len() > before + 5);

    // Too many for UDP.
    dns.has(Ok(vec![of(&a), of(&b), of(&a), of(&a)]));
    wait_for(&receiver, &up(&b), "added", is_up);
    assert!(dns.asked_over_tcp.load(Ordering::SeqCst) > 0);

    dns.has(Ok(vec![of(&b)]));
    wait_for(&receiver, &up(&a), "ended", has_ended);
    dns.has(Err(3));
    wait_for(&receiver, &up(&b), "ended, as the name is gone", has_ended);
    assert!(agent.stop().0.success());
}

#[test]
fn scrape_asks_once_and_waits_for_the_answer() {
    let folder = tempfile::tempdir().unwrap();
    let (a, dns) = (constant(7), NameServer::start());
    dns.has(Ok(vec![record("h.test", A, 60, &[127, 0, 0, 1])]));
    let more = format!("names = ['h.test.'], type = 'A', port = {}", a.address.port());
    let file = folder.path().join("n.toml");
    std::fs::write(&file, format!("[[scrape_configs]]\njob_name = 'x'\n{}\n", dns.job(&more))).unwrap();
    let output = narthex(&["scrape", "--config", file.to_str().unwrap()]);
    assert!(output.status.success(), "{output:?}");
    assert!(String::from_utf8(output.stdout).unwrap().contains(" 7"));
}

/// A device that offers a page, on the loopback interface.
struct Device {
    is_silent: Arc<AtomicBool>,
    socket: UdpSocket,
    records: Vec<Vec<u8>>,
}

const SERVICE: &str = "_prometheus-http._tcp.local";
const GROUP: (Ipv4Addr, u16) = (Ipv4Addr::new(224, 0, 0, 251), 5353);

fn said(records: &[Vec<u8>]) -> Vec<u8> {
    let mut out = vec![0, 0, 0x84, 0, 0, 0];
    [records.len() as u16, 0, 0].iter().for_each(|number| out.extend(number.to_be_bytes()));
    [out, records.concat()].concat()
}

impl Device {
    /// `None` where there is no multicast.
    fn start(port: u16) -> Option<Device> {
        use rustix::net::{AddressFamily, SocketType, bind, socket, sockopt};
        let fd = socket(AddressFamily::INET, SocketType::DGRAM, None).ok()?;
        sockopt::set_socket_reuseaddr(&fd, true).ok()?;
        sockopt::set_socket_reuseport(&fd, true).ok()?;
        bind(&fd, &SocketAddr::from((Ipv4Addr::UNSPECIFIED, GROUP.1))).ok()?;
        let socket = UdpSocket::from(fd);
        socket.join_multicast_v4(&GROUP.0, &Ipv4Addr::LOCALHOST).ok()?;
        sockopt::set_ip_multicast_if(&socket, &Ipv4Addr::LOCALHOST).ok()?;
        let instance = format!("Pump 2.{SERVICE}");
        let records = vec![
            record(SERVICE, PTR, 4500, &name(&instance)),
            srv(&instance, port, "pump2.local"),
            record(&instance, TXT, 4500, b"\x06path=/\x09room=hall"),
            record("pump2.local", A, 120, &[127, 0, 0, 1]),
        ];
        let device = Device { is_silent: Arc::new(AtomicBool::new(true)), socket, records };
        let (heard, all, is_silent) =
            (device.socket.try_clone().ok()?, device.records.clone(), device.is_silent.clone());
        thread::spawn(move || {
            let mut query = [0; 9000];
            while let Ok((received, _)) = heard.recv_from(&mut query) {
                let is_query = received > 12 && query[2] & 0x80 == 0;
                let is_asked = query[..received].windows(16).any(|part| part == b"_prometheus-http");
                if is_query && is_asked && !is_silent.load(Ordering::SeqCst) {
                    heard.send_to(&said(&all), GROUP).unwrap();
                }
            }
        });
        // Whether what is sent is heard at all.
        let probe = device.socket.try_clone().ok()?;
        probe.send_to(&said(&[]), GROUP).ok()?;
        Some(device)
    }

    fn says(&self, records: &[Vec<u8>]) {
        self.socket.send_to(&said(records), GROUP).unwrap();
    }
}

#[test]
fn devices_that_are_plugged_in_and_out_are_followed() {
    let folder = tempfile::tempdir().unwrap();
    let (a, receiver) = (constant(1), Receiver::start());
    let Some(device) = Device::start(a.address.port()) else {
        return eprintln!("there is no multicast here");
    };
    let agent = Agent::start(folder.path(), &config(&receiver, "mdns_sd_configs = [{}]"));
    agent.wait_for_log("is running");
    thread::sleep(Duration::from_millis(500));
    let up = format!("up{{instance={:?}", a.address.to_string());
    assert!(receiver.series(&up).is_empty());

    device.says(&device.records);
    wait_for(&receiver, &up, "plugged in", is_up);
    let goodbye = [record(SERVICE, PTR, 0, &name(&format!("Pump 2.{SERVICE}")))];
    device.says(&goodbye);
    wait_for(&receiver, &up, "unplugged", has_ended);
    assert!(agent.stop().0.success());

    // Asked, it answers.
    device.is_silent.store(false, Ordering::SeqCst);
    let file = folder.path().join("n.toml");
    std::fs::write(&file, "[[scrape_configs]]\njob_name = 'x'\nmdns_sd_configs = [{}]\n").unwrap();
    let output = narthex(&["scrape", "--config", file.to_str().unwrap()]);
    assert!(String::from_utf8(output.stdout).unwrap().contains(" 1"));
}
