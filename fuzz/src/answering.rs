//! A server that gives every request the same bytes, and an uplink of the program's own that asks it.

use narthex::config::parse;
use narthex::dns::Resolver;
use narthex::remote_write::{Outcome, Uplink};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::thread;

/// Stands in configurations where nobody may see it.
pub const SECRET: &str = "hunter2";

/// Bytes of a text for the log, at the most: a receiver's words and what is said around them.
const LINE_BYTES_MAX: usize = 1024;

pub struct Answering {
    pub port: u16,
    answer: Arc<Mutex<Vec<u8>>>,
}

impl Answering {
    /// Lives as long as the process.
    pub fn start() -> Answering {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
        let port = listener.local_addr().expect("it is bound").port();
        let answer = Arc::<Mutex<Vec<u8>>>::default();
        let given = answer.clone();
        thread::spawn(move || {
            for connection in listener.incoming().flatten() {
                let answer = given.lock().expect("nobody panics here").clone();
                // A client that hangs up has seen enough.
                _ = answer_one(connection, &answer);
            }
        });
        Answering { port, answer }
    }

    pub fn answer_with(&self, bytes: &[u8]) {
        *self.answer.lock().expect("nobody panics here") = bytes.into();
    }
}

fn answer_one(mut connection: TcpStream, answer: &[u8]) -> std::io::Result<()> {
    let mut reader = BufReader::new(connection.try_clone()?);
    let (mut line, mut length) = (String::new(), 0);
    while reader.read_line(&mut line)? > 2 {
        if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length: ") {
            length = value.trim().parse().unwrap_or(0);
        }
        line.clear();
    }
    reader.read_exact(&mut vec![0; length])?;
    connection.write_all(answer)?;
    connection.shutdown(Shutdown::Write)
}

/// What becomes of one request by an endpoint with these keys: its text is one line of bounded length, without the secret.
pub fn outcome_of(endpoint: &str) -> Outcome {
    let text = format!("buffer.path = 'ring'\n[[remote_write]]\nremote_timeout = '5s'\n{endpoint}");
    let config = parse(&text, Path::new("/etc/narthex/narthex.toml")).unwrap_or_else(|error| panic!("{error}"));
    let mut uplink = Uplink::new(&config.endpoints[0], Resolver::new()).unwrap_or_else(|error| panic!("{error}"));
    let outcome = smol::block_on(uplink.send(b"body", &[], 0));
    let shown = outcome.to_string();
    assert!(!shown.chars().any(char::is_control) && shown.len() < LINE_BYTES_MAX, "{shown:?}");
    assert!(!shown.contains(SECRET), "{shown}");
    outcome
}
