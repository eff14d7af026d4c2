//! An HTTP server for exporters and receivers that misbehave: it hands the connection itself to whoever answers.

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

/// One request, whole.
pub struct Request {
    pub head: String,
    pub body: Vec<u8>,
}

/// Whether a connection may carry another request.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Connection {
    Keep,
    Close,
}

/// A server on a port of its own, until it is dropped.
pub struct Server {
    pub address: SocketAddr,
    is_closed: Arc<AtomicBool>,
}

impl Server {
    /// Calls `answer` for each request, on a thread for each connection.
    pub fn start(answer: impl Fn(&Request, &mut TcpStream) -> Connection + Send + Sync + 'static) -> Server {
        Server::start_at("127.0.0.1:0".parse().unwrap(), answer)
    }

    pub fn start_at(
        address: SocketAddr,
        answer: impl Fn(&Request, &mut TcpStream) -> Connection + Send + Sync + 'static,
    ) -> Server {
        let listener = TcpListener::bind(address).unwrap();
        let address = listener.local_addr().unwrap();
        let is_closed = Arc::new(AtomicBool::new(false));
        let (closed, answer) = (is_closed.clone(), Arc::new(answer));
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                if closed.load(Ordering::SeqCst) {
                    return;
                }
                let (closed, answer) = (closed.clone(), answer.clone());
                thread::spawn(move || serve(stream, &closed, &*answer));
            }
        });
        Server { address, is_closed }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.is_closed.store(true, Ordering::SeqCst);
        // Wakes the listener, so that it lets go of the port.
        drop(TcpStream::connect(self.address));
    }
}

fn serve(stream: TcpStream, closed: &AtomicBool, answer: &impl Fn(&Request, &mut TcpStream) -> Connection) {
    // A client that was killed leaves no thread behind for long.
    _ = stream.set_read_timeout(Some(Duration::from_secs(60)));
    let Ok(mut writer) = stream.try_clone() else { return };
    let mut reader = BufReader::new(stream);
    while let Some(request) = read_request(&mut reader) {
        if closed.load(Ordering::SeqCst) || answer(&request, &mut writer) == Connection::Close {
            return;
        }
    }
}

fn read_request(reader: &mut impl BufRead) -> Option<Request> {
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

/// A whole response. `headers` are lines that end with `\r\n`.
pub fn response(status: &str, headers: &str, body: &[u8]) -> Vec<u8> {
    let head = format!("HTTP/1.1 {status}\r\n{headers}Content-Length: {}\r\n\r\n", body.len());
    [head.as_bytes(), body].concat()
}

/// Closes the connection by a reset: what the client has not read yet is gone.
pub fn reset(stream: &TcpStream) {
    _ = rustix::net::sockopt::set_socket_linger(stream, Some(Duration::ZERO));
}

/// Writes a few bytes at a time, so that the whole takes this long.
pub fn trickle(stream: &mut TcpStream, bytes: &[u8], over: Duration) -> std::io::Result<()> {
    let pieces = bytes.len().div_ceil(16).max(1) as u32;
    for piece in bytes.chunks(16) {
        stream.write_all(piece)?;
        thread::sleep(over / pieces);
    }
    Ok(())
}
