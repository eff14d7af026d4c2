//! Targets that come and go while the built agent runs: who is scraped, and what the receiver is told of those that have gone.

mod support;

use narthex::model::is_stale;
use std::fs;
use std::io::{Read, Write};
use std::os::unix::net::UnixListener;
use std::sync::{Arc, Mutex};
use support::targets::*;
use support::tls::Authority;
use support::*;

#[test]
fn files_that_are_added_changed_broken_and_removed_are_followed() {
    let folder = tempfile::tempdir().unwrap();
    let (a, b, receiver) = (constant(1), constant(2), Receiver::start());
    let targets = folder.path().join("targets");
    fs::create_dir(&targets).unwrap();
    let job = "file_sd_configs = [{ files = ['targets/*.json', 'targets/*.yml'] }]";
    let agent = Agent::start(folder.path(), &config(&receiver, job));
    let up = |server: &Server| format!("up{{instance={:?}", server.address.to_string());

    replace(&targets.join("a.json"), &one(&a, r#""site":"north""#));
    wait_for(&receiver, &up(&a), "added", is_up);
    assert!(!receiver.series("v{").is_empty());
    let labelled = receiver.samples.lock().unwrap().keys().any(|series| series.contains("site=\"north\""));
    assert!(labelled && !receiver.samples.lock().unwrap().keys().any(|series| series.contains("__")));

    // Written in place, in YAML: taken up when it is closed.
    fs::write(targets.join("b.yml"), format!("- targets: ['{}']\n", b.address)).unwrap();
    wait_for(&receiver, &up(&b), "added", is_up);

    fs::write(targets.join("b.yml"), "- target: [").unwrap();
    agent.wait_for_log("b.yml: is not a list of groups in YAML");
    let before = receiver.series(&up(&b)).len();
    wait_for(&receiver, &up(&b), "goes on though its file is broken", |samples| samples.len() > before + 5);

    fs::remove_file(targets.join("b.yml")).unwrap();
    wait_for(&receiver, &up(&b), "ended", has_ended);
    let series = format!("v{{instance={:?}", b.address.to_string());
    wait_for(&receiver, &series, "ended", has_ended);
    let samples = receiver.series(&series);
    let last: Vec<_> = samples.iter().rev().take(2).map(|(time, value)| (*time, value.to_bits())).collect();
    let gap = last[0].0 - last[1].0;
    assert!((100..=400).contains(&gap), "the marker stands where the next sample would: {gap} ms");
    assert_eq!(samples.values().filter(|value| is_stale(**value)).count(), 1);
    assert!(!receiver.series(&up(&a)).values().any(|value| is_stale(*value)), "the other goes on");

    // Other labels are another target: the old one ends, the new one begins.
    replace(&targets.join("a.json"), &one(&a, r#""site":"south""#));
    eventually("the new labels", PATIENCE, || {
        receiver.samples.lock().unwrap().keys().any(|series| series.contains("site=\"south\"")).then_some(())
    });
    let north = || {
        let samples = receiver.samples.lock().unwrap();
        samples.iter().find(|(s, _)| s.starts_with("v{") && s.contains("north")).map(|(_, s)| s.clone()).unwrap()
    };
    eventually("the old labels' end", PATIENCE, || has_ended(&north()).then_some(()));
    assert!(agent.stop().0.success());
    assert_eq!(receiver.repeats.load(std::sync::atomic::Ordering::SeqCst), 0);
}

/// A device gets another address, and keeps its name: its series must not be told to have ended after they have begun anew.
#[test]
fn a_target_that_takes_the_place_of_another_leaves_no_marker_behind() {
    let folder = tempfile::tempdir().unwrap();
    let (a, b, receiver) = (constant(1), constant(2), Receiver::start());
    let file = folder.path().join("t.json");
    replace(&file, &one(&a, r#""instance":"pump""#));
    let agent = Agent::start(folder.path(), &config(&receiver, "file_sd_configs = [{ files = ['t.json'] }]"));
    wait_for(&receiver, "v{", "first", |samples| samples.len() > 2);
    replace(&file, &one(&b, r#""instance":"pump""#));
    wait_for(&receiver, "v{", "second", |samples| samples.values().filter(|value| **value == 2.0).count() > 8);
    let stale = receiver.series("v{").values().filter(|value| is_stale(**value)).count();
    assert_eq!(stale, 0, "{:?}", receiver.series("v{"));
    assert!(agent.stop().0.success());
}

#[test]
fn an_unchanged_target_goes_on_while_others_come_and_one_that_comes_back_starts_again() {
    let folder = tempfile::tempdir().unwrap();
    let (a, b, receiver) = (constant(1), constant(2), Receiver::start());
    let file = folder.path().join("t.json");
    let both = format!(r#"[{{"targets":["{}","{}"]}}]"#, a.address, b.address);
    replace(&file, &both);
    let agent = Agent::start(folder.path(), &config(&receiver, "file_sd_configs = [{ files = ['t.json'] }]"));
    let of = |name: &str, server: &Server| format!("{name}{{instance={:?}", server.address.to_string());
    wait_for(&receiver, &of("up", &b), "up", is_up);
    replace(&file, &one(&a, ""));
    wait_for(&receiver, &of("up", &b), "ended", has_ended);
    replace(&file, &both);
    wait_for(&receiver, &of("up", &b), "back", is_up);
    let added = receiver.series(&of("scrape_series_added", &a));
    assert_eq!(added.values().sum::<f64>(), 1.0, "the cache of the one that stayed was kept: {added:?}");
    assert!(agent.stop().0.success());
}

#[test]
fn a_job_past_its_target_limit_fails_as_a_whole_until_it_fits_again() {
    let folder = tempfile::tempdir().unwrap();
    let (a, b, receiver) = (constant(1), constant(2), Receiver::start());
    let file = folder.path().join("t.yaml");
    replace(&file, &format!("- targets: ['{}', '{}']", a.address, b.address));
    let job = "target_limit = 1\nfile_sd_configs = [{ files = ['t.yaml'] }]";
    let agent = Agent::start(folder.path(), &config(&receiver, job));
    let up = format!("up{{instance={:?}", a.address.to_string());
    wait_for(&receiver, &up, "down", |samples| samples.values().next_back() == Some(&0.0));
    agent.wait_for_log("target_limit exceeded (number of targets: 2, limit: 1)");
    assert_eq!(a.requests() + b.requests(), 0, "none of them is asked");
    replace(&file, &format!("- targets: ['{}']", a.address));
    wait_for(&receiver, &up, "up", is_up);
    assert!(agent.stop().0.success());
}

#[test]
fn scrape_looks_at_each_discovery_once() {
    let folder = tempfile::tempdir().unwrap();
    let a = constant(7);
    fs::write(folder.path().join("t.json"), one(&a, "")).unwrap();
    let file = folder.path().join("n.toml");
    fs::write(&file, "[[scrape_configs]]\njob_name = 'x'\nfile_sd_configs = [{ files = ['*.json'] }]\n").unwrap();
    let output = narthex(&["scrape", "--config", file.to_str().unwrap()]);
    assert!(output.status.success(), "{output:?}");
    assert!(String::from_utf8(output.stdout).unwrap().contains(" 7"));
}

#[test]
fn a_list_behind_a_url_that_changes_fails_and_comes_back_is_followed() {
    let folder = tempfile::tempdir().unwrap();
    let (a, b, receiver) = (constant(1), constant(2), Receiver::start());
    let json = |text: String| respond("200 OK", "Content-Type: application/json\r\n", text.as_bytes());
    let answer = Arc::new(Mutex::new(json(one(&a, r#""site":"north""#))));
    let (answered, heads) = (answer.clone(), Arc::new(Mutex::new(String::new())));
    let kept = heads.clone();
    let list = Server::start(move |_, request| {
        *kept.lock().unwrap() = request.head.to_ascii_lowercase();
        answered.lock().unwrap().clone()
    });
    let says = |bytes| *answer.lock().unwrap() = bytes;
    let job = format!("http_sd_configs = [{{ url = '{}', refresh_interval = '200ms' }}]", list.url("/x"));
    let agent = Agent::start(folder.path(), &config(&receiver, &job));
    let up = |server: &Server| format!("up{{instance={:?}", server.address.to_string());
    wait_for(&receiver, &up(&a), "added", is_up);
    let head = heads.lock().unwrap().clone();
    for header in ["accept: application/json", "x-prometheus-refresh-interval-seconds: 0.2", "user-agent: narthex/"] {
        assert!(head.contains(header), "{head}");
    }

    for bytes in [
        respond("500 Internal Server Error", "", b"no"),
        respond("200 OK", "Content-Type: text/plain\r\n", b"[]"),
        json("{}".into()),
        vec![],
    ] {
        let asked = list.requests();
        says(bytes);
        eventually("some more looks", PATIENCE, || (list.requests() > asked + 3).then_some(()));
    }
    agent.wait_for_log("its targets stay as they are: server returned HTTP status 500");
    let before = receiver.series(&up(&a)).len();
    wait_for(&receiver, &up(&a), "goes on though its list is gone", |samples| samples.len() > before + 5);
    assert!(is_up(&receiver.series(&up(&a))));

    says(json(one(&b, "")));
    wait_for(&receiver, &up(&b), "added", is_up);
    wait_for(&receiver, &up(&a), "ended", has_ended);
    says(json("[]".into()));
    wait_for(&receiver, &up(&b), "ended", has_ended);
    assert!(agent.stop().0.success());
}

#[test]
fn unix_sockets_are_targets() {
    let (folder, receiver) = (tempfile::tempdir().unwrap(), Receiver::start());
    let socket = folder.path().join("x.sock");
    let listener = UnixListener::bind(&socket).unwrap();
    let heads = Arc::new(Mutex::new(Vec::new()));
    let kept = heads.clone();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let mut head = [0; 2048];
            let received = stream.read(&mut head).unwrap();
            kept.lock().unwrap().push(String::from_utf8_lossy(&head[..received]).to_ascii_lowercase());
            stream.write_all(&page("v 5\n")).unwrap();
        }
    });
    let address = format!("unix://{}", socket.display());
    let labelled =
        format!(r#"[{{"targets":["vhost.example:8080"],"labels":{{"__unix_socket__":"{}"}}}}]"#, socket.display());
    fs::write(folder.path().join("t.json"), labelled).unwrap();
    let job = format!(
        "metrics_path = '/own'\nstatic_configs = [{{ targets = ['{address}'] }}]\nfile_sd_configs = [{{ files = ['t.json'] }}]"
    );
    let agent = Agent::start(folder.path(), &config(&receiver, &job));
    wait_for(&receiver, &format!("up{{instance={address:?}"), "up", is_up);
    wait_for(&receiver, "up{instance=\"vhost.example:8080\"", "up, by Prometheus's own label", is_up);
    for host in ["localhost", "vhost.example:8080"] {
        let head = format!("get /own http/1.1\r\nhost: {host}\r\n");
        assert!(heads.lock().unwrap().iter().any(|seen| seen.starts_with(&head)), "{host}: {heads:?}");
    }
    fs::remove_file(&socket).unwrap();
    agent.wait_for_log(&format!("scrape of http://localhost/own on {}", socket.display()));
    assert!(agent.stop().0.success());
}

/// The server's certificate was held to `localhost`, so that a proxy on a socket with a certificate of its own was refused.
#[test]
fn a_server_on_a_socket_is_known_by_the_address_beside_it() {
    let (folder, receiver, authority) = (tempfile::tempdir().unwrap(), Receiver::start(), Authority::new());
    let socket = folder.path().join("x.sock");
    fs::write(folder.path().join("ca.pem"), &authority.pem).unwrap();
    let tls = authority.server("vhost.example", |_| {});
    let listener = UnixListener::bind(&socket).unwrap();
    std::thread::spawn(move || {
        for connection in listener.incoming().flatten() {
            let session = rustls::ServerConnection::new(tls.clone()).unwrap();
            let mut stream = rustls::StreamOwned::new(session, connection);
            // A client that doesn't trust the certificate hangs up.
            if stream.read(&mut [0; 2048]).is_ok() {
                stream.write_all(&page("v 5\n")).unwrap();
                stream.conn.send_close_notify();
                drop(stream.flush());
            }
        }
    });
    let job = format!(
        "scheme = 'https'\ntls_config = {{ ca_file = 'ca.pem' }}\nrelabel_configs = [\n\
         {{ target_label = '__unix_socket__', replacement = '{}' }},\n\
         {{ target_label = '__scrape_interval__', replacement = '200ms' }},\n\
         {{ target_label = '__scrape_timeout__', replacement = '0s200ms' }},\n]\n\
         static_configs = [{{ targets = ['vhost.example:8443'] }}]",
        socket.display()
    );
    let text = config(&receiver, &job) + "[status]\nlisten = '127.0.0.1:0'\n";
    let agent = Agent::start(folder.path(), &text);
    wait_for(&receiver, "up{instance=\"vhost.example:8443\"", "up over TLS", is_up);
    let targets: serde_json::Value = serde_json::from_str(&get(&agent.status_address(), "/api/v1/targets")).unwrap();
    let target = &targets["data"]["activeTargets"][0];
    assert_eq!(target["scrapeUrl"], "https://vhost.example:8443/metrics");
    assert_eq!(target["scrapeTimeout"], "0s200ms", "as the label has it");
    assert!(agent.stop().0.success());
}
