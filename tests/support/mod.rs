//! What the tests of the built binary stand on: an exporter, a receiver and an agent, each a few lines to set up.
#![allow(dead_code)]

pub mod prometheus;
pub mod targets;
pub mod tls;

use narthex::remote_write::messages::WriteRequest;
use prost::Message;
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

/// Waits until `done` gives something, at most this long.
pub fn eventually<T>(what: &str, limit: Duration, mut done: impl FnMut() -> Option<T>) -> T {
    let until = Instant::now() + limit;
    loop {
        if let Some(found) = done() {
            return found;
        }
        assert!(Instant::now() < until, "{what} did not come about within {limit:?}");
        thread::sleep(Duration::from_millis(20));
    }
}

/// One request, as far as the tests need it.
pub struct Request {
    pub head: String,
    pub body: Vec<u8>,
}

/// An HTTP server on a port of its own that closes after each answer. Answers are raw bytes, so that they can be wrong.
pub struct Server {
    pub address: SocketAddr,
    requests: Arc<AtomicUsize>,
    closed: Arc<AtomicBool>,
}

impl Server {
    pub fn start(answer: impl Fn(usize, Request) -> Vec<u8> + Send + Sync + 'static) -> Server {
        Server::start_at("127.0.0.1:0", answer)
    }

    pub fn start_at(address: &str, answer: impl Fn(usize, Request) -> Vec<u8> + Send + Sync + 'static) -> Server {
        let listener = eventually("the port being free", Duration::from_secs(10), || TcpListener::bind(address).ok());
        let address = listener.local_addr().unwrap();
        let (requests, closed) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicBool::new(false)));
        let (counted, is_closed, answer) = (requests.clone(), closed.clone(), Arc::new(answer));
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                if is_closed.load(Ordering::SeqCst) {
                    return;
                }
                let (answer, counted) = (answer.clone(), counted.clone());
                thread::spawn(move || serve_one(stream, &*answer, &counted));
            }
        });
        Server { address, requests, closed }
    }

    pub fn requests(&self) -> usize {
        self.requests.load(Ordering::SeqCst)
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.closed.store(true, Ordering::SeqCst);
        // Wakes the listener, so that it lets go of the port.
        drop(TcpStream::connect(self.address));
    }
}

fn serve_one(mut stream: TcpStream, answer: &(impl Fn(usize, Request) -> Vec<u8> + ?Sized), counted: &AtomicUsize) {
    let Some(request) = read_request(&mut stream) else { return };
    let bytes = answer(counted.fetch_add(1, Ordering::SeqCst), request);
    // A client that has gone away is part of the tests.
    _ = stream.write_all(&bytes);
    _ = stream.shutdown(Shutdown::Write);
    _ = stream.read(&mut [0; 64]);
}

fn read_request(stream: &mut TcpStream) -> Option<Request> {
    let mut reader = BufReader::new(stream);
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if reader.read_line(&mut head).ok()? == 0 {
            return None;
        }
    }
    let length = head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse().ok())?
    });
    let mut body = vec![0; length.unwrap_or(0)];
    reader.read_exact(&mut body).ok()?;
    Some(Request { head, body })
}

pub fn respond(status: &str, headers: &str, body: &[u8]) -> Vec<u8> {
    let head = format!("HTTP/1.1 {status}\r\n{headers}Content-Length: {}\r\nConnection: close\r\n\r\n", body.len());
    [head.as_bytes(), body].concat()
}

/// A page in text format 0.0.4.
pub fn page(text: &str) -> Vec<u8> {
    respond("200 OK", "Content-Type: text/plain; version=0.0.4\r\n", text.as_bytes())
}

/// An exporter whose page is made anew for each scrape.
pub fn exporter(text: impl Fn(usize) -> String + Send + Sync + 'static) -> Server {
    Server::start(move |n, _| page(&text(n)))
}

/// What a receiver holds: for each series its samples by time.
pub type Samples = BTreeMap<String, BTreeMap<i64, f64>>;

/// A Remote-Write 1.0 receiver that keeps what it accepts and can be told what to answer.
pub struct Receiver {
    pub server: Option<Server>,
    pub samples: Arc<Mutex<Samples>>,
    pub repeats: Arc<AtomicUsize>,
    answer: Arc<Mutex<Verdict>>,
}

/// What a receiver does with a request: `None` accepts it with 204, else the raw answer is sent and nothing is kept.
pub type Verdict = Box<dyn FnMut(&WriteRequest) -> Option<Vec<u8>> + Send>;

impl Receiver {
    pub fn start() -> Receiver {
        Receiver::start_at("127.0.0.1:0")
    }

    pub fn start_at(address: &str) -> Receiver {
        let mut receiver = Receiver {
            server: None,
            samples: Arc::default(),
            repeats: Arc::default(),
            answer: Arc::new(Mutex::new(Box::new(|_| None))),
        };
        receiver.listen(address);
        receiver
    }

    fn listen(&mut self, address: &str) {
        let (samples, repeats, answer) = (self.samples.clone(), self.repeats.clone(), self.answer.clone());
        self.server = Some(Server::start_at(address, move |_, request| {
            if request.head.contains("proto=io.prometheus.write.v2.Request") {
                return respond("415 Unsupported Media Type", "", b"only 1.0");
            }
            let bytes = snap::raw::Decoder::new().decompress_vec(&request.body).unwrap();
            let message = WriteRequest::decode(&bytes[..]).unwrap();
            if let Some(refusal) = (answer.lock().unwrap())(&message) {
                return refusal;
            }
            let mut held = samples.lock().unwrap();
            for series in message.timeseries {
                let held = held.entry(series_text(&series.labels)).or_default();
                for sample in series.samples {
                    if held.insert(sample.timestamp, sample.value).is_some() {
                        repeats.fetch_add(1, Ordering::SeqCst);
                    }
                }
            }
            respond("204 No Content", "", b"")
        }));
    }

    pub fn answer_with(&self, verdict: impl FnMut(&WriteRequest) -> Option<Vec<u8>> + Send + 'static) {
        *self.answer.lock().unwrap() = Box::new(verdict);
    }

    pub fn address(&self) -> SocketAddr {
        self.server.as_ref().expect("the receiver is listening").address
    }

    /// Goes away; what it holds stays. The address for [`back_at`](Self::back_at).
    pub fn go_away(&mut self) -> SocketAddr {
        let address = self.address();
        self.server = None;
        address
    }

    pub fn back_at(&mut self, address: SocketAddr) {
        self.listen(&address.to_string());
    }

    /// The samples of one series, by the start of its text.
    pub fn series(&self, start: &str) -> BTreeMap<i64, f64> {
        let held = self.samples.lock().unwrap();
        held.iter().find(|(series, _)| series.starts_with(start)).map(|(_, s)| s.clone()).unwrap_or_default()
    }
}

pub fn series_text(labels: &[narthex::remote_write::messages::Label]) -> String {
    let name = labels.iter().find(|label| label.name == "__name__").map_or("", |label| &label.value);
    let others = labels.iter().filter(|label| label.name != "__name__");
    let pairs: Vec<String> = others.map(|label| format!("{}={:?}", label.name, label.value)).collect();
    format!("{name}{{{}}}", pairs.join(","))
}

/// The built agent, with a folder of its own.
pub struct Agent {
    child: Child,
    pub folder: PathBuf,
    log: Arc<Mutex<String>>,
}

/// The body of the answer to a GET, whatever its status.
pub fn get(address: &str, path: &str) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer.split_once("\r\n\r\n").unwrap().1.to_owned()
}

/// Runs `narthex` with these words to its end.
pub fn narthex(words: &[&str]) -> std::process::Output {
    Command::new(env!("CARGO_BIN_EXE_narthex")).args(words).output().unwrap()
}

impl Agent {
    /// Writes the configuration into the folder and starts `narthex run` on it.
    pub fn start(folder: &Path, config: &str) -> Agent {
        Agent::start_by(Command::new(env!("CARGO_BIN_EXE_narthex")), folder, config)
    }

    /// The same by a command that is given the agent's words.
    pub fn start_by(mut command: Command, folder: &Path, config: &str) -> Agent {
        let file = folder.join("narthex.toml");
        std::fs::write(&file, config).unwrap();
        let mut child = command
            .args(["run", "--log-level", "debug", "--config"])
            .arg(&file)
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let log = Arc::new(Mutex::new(String::new()));
        let (stderr, kept) = (child.stderr.take().unwrap(), log.clone());
        thread::spawn(move || {
            for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                kept.lock().unwrap().push_str(&(line + "\n"));
            }
        });
        Agent { child, folder: folder.into(), log }
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    pub fn log(&self) -> String {
        self.log.lock().unwrap().clone()
    }

    /// Where its status page is, if it has one.
    pub fn status_address(&self) -> String {
        self.wait_for_log("status: http://");
        let log = self.log();
        log.split("status: http://").nth(1).and_then(|rest| rest.split('/').next()).expect("an address").to_owned()
    }

    pub fn wait_for_log(&self, text: &str) {
        eventually(&format!("{text:?} in the log"), Duration::from_secs(30), || {
            self.log().contains(text).then_some(())
        });
    }

    /// SIGKILL.
    pub fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Sends a signal; `name` is one of `kill`'s options.
    pub fn signal(&self, name: &str) {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args([name, &pid]).status().unwrap().success());
    }

    /// SIGTERM; how it ended and how long that took.
    pub fn stop(mut self) -> (ExitStatus, Duration) {
        let begun = Instant::now();
        self.signal("-TERM");
        (self.child.wait().unwrap(), begun.elapsed())
    }

    /// SIGTERM; how it ended and its whole log.
    pub fn terminate(self) -> (ExitStatus, String) {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
        self.wait()
    }

    /// Waits until it ends by itself: its exit status and its log.
    pub fn wait(mut self) -> (ExitStatus, String) {
        let status = eventually("the agent's end", Duration::from_secs(60), || self.child.try_wait().unwrap());
        thread::sleep(Duration::from_millis(100));
        (status, self.log())
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        // It may have ended already.
        _ = self.child.kill();
        _ = self.child.wait();
        if thread::panicking() {
            eprintln!("the agent's log:\n{}", self.log());
        }
    }
}
