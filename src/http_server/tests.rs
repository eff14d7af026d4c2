//! Raw clients, each on a thread, against a server on this one.

use super::*;
use smol::future::pending;
use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::Instant;

const PATIENCE: Duration = Duration::from_secs(10);

/// Tells what arrived; `/big` answers with more than sockets buffer.
fn echo(request: Request) -> Response {
    if request.path() == "/big" {
        return Response::ok("text/plain", vec![b'x'; 32 << 20]);
    }
    let told = format!(
        "{} {} {:?} {:?} {}",
        request.method(),
        request.path(),
        request.query(),
        request.header("x-kind"),
        String::from_utf8_lossy(&request.body)
    );
    Response::ok("text/plain", told)
}

/// Serves for as long as the client's thread runs; what the client panics with, the test panics with.
fn serving(limits: Limits, client: impl FnOnce(SocketAddr) + Send + 'static) {
    let server = Server::bind(([127, 0, 0, 1], 0).into(), limits).unwrap();
    let address = server.local_addr();
    smol::block_on(future::or(server.serve(Rc::new(echo), pending()), smol::unblock(move || client(address))));
}

struct Client(TcpStream);

impl Client {
    fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        Client(stream)
    }

    fn send(&mut self, text: &str) -> &mut Self {
        self.0.write_all(text.as_bytes()).unwrap();
        self
    }

    /// Status line and headers, lower case.
    fn head(&mut self) -> String {
        let (mut head, mut byte) = (Vec::new(), [0]);
        while !head.ends_with(b"\r\n\r\n") {
            self.0.read_exact(&mut byte).unwrap();
            head.extend_from_slice(&byte);
        }
        String::from_utf8(head).unwrap().to_lowercase()
    }

    /// Status and body of the next response.
    fn response(&mut self) -> (u16, String) {
        let head = self.head();
        self.response_after(&head)
    }

    fn response_after(&mut self, head: &str) -> (u16, String) {
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap_or("0");
        let mut body = vec![0; length.parse().unwrap()];
        self.0.read_exact(&mut body).unwrap();
        (head[9..12].parse().unwrap(), String::from_utf8(body).unwrap())
    }

    /// Whether the server has closed, or closes within [`PATIENCE`], without another byte.
    fn is_closed(&mut self) -> bool {
        match self.0.read(&mut [0]) {
            Ok(read) => read == 0,
            Err(error) => error.kind() == ErrorKind::ConnectionReset,
        }
    }
}

const GET: &str = "GET /a?b=c HTTP/1.1\r\nHost: x\r\nX-Kind: first\r\n\r\n";
const ANSWER: &str = "GET /a Some(\"b=c\") Some(\"first\") ";

#[test]
fn a_connection_carries_one_request_after_another() {
    serving(Limits::default(), |address| {
        let mut client = Client::connect(address);
        for _ in 0..3 {
            assert_eq!(client.send(GET).response(), (200, ANSWER.into()));
        }
        client.send(GET).send(GET);
        assert_eq!(client.response(), (200, ANSWER.into()));
        assert_eq!(client.response(), (200, ANSWER.into()));
    });
}

#[test]
fn bodies_arrive_whole_whichever_way_they_are_framed() {
    serving(Limits::default(), |address| {
        let mut client = Client::connect(address);
        client.send("POST /w HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhel").send("lo");
        assert_eq!(client.response(), (200, "POST /w None None hello".into()));
        client.send("POST /w HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nhel\r\n");
        client.send("2\r\nlo\r\n0\r\n\r\n");
        assert_eq!(client.response(), (200, "POST /w None None hello".into()));
        client.send("POST /w HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n");
        assert!(client.head().starts_with("http/1.1 100 "));
        assert_eq!(client.send("ok").response(), (200, "POST /w None None ok".into()));
    });
}

#[test]
fn a_client_that_has_sent_its_last_request_still_gets_the_response() {
    serving(Limits::default(), |address| {
        let mut client = Client::connect(address);
        client.send("GET /big HTTP/1.1\r\nHost: x\r\n\r\n").0.shutdown(std::net::Shutdown::Write).unwrap();
        std::thread::sleep(Duration::from_millis(50));
        assert_eq!(client.response().1.len(), 32 << 20);
    });
}

#[test]
fn head_is_answered_with_the_length_and_without_the_body() {
    serving(Limits::default(), |address| {
        let mut client = Client::connect(address);
        let head = client.send("HEAD /a HTTP/1.1\r\nHost: x\r\n\r\n").head();
        assert!(head.contains("content-length: 18\r\n"), "{head}");
        assert!(head.contains("content-type: text/plain\r\n"), "{head}");
        assert_eq!(client.send(GET).response(), (200, ANSWER.into()));
    });
}

#[test]
fn what_is_too_large_or_malformed_is_refused_and_the_connection_closed() {
    let headers = |count: usize, length: usize| -> String {
        let headers: String = (0..count).map(|i| format!("x-{i}: {}\r\n", "v".repeat(length))).collect();
        format!("GET / HTTP/1.1\r\nHost: x\r\n{headers}\r\n")
    };
    let cases = [
        ("body announced", "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n".into(), 413),
        (
            "body in chunks",
            "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n9\r\n123456789\r\n".into(),
            413,
        ),
        ("chunk size", "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n".into(), 400),
        ("length no number", "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1x\r\n\r\n".into(), 400),
        ("length negative", "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n".into(), 400),
        (
            "lengths that differ",
            "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n".into(),
            400,
        ),
        ("no HTTP", "NONSENSE\r\n\r\n".into(), 400),
        ("many headers", headers(limits::HTTP_HEADERS_MAX, 1), 431),
        ("long head", headers(1, limits::HTTP_HEAD_BYTES_MAX), 431),
    ];
    serving(Limits { body_bytes_max: 8, ..Limits::default() }, move |address| {
        for (what, request, status) in cases {
            let mut client = Client::connect(address);
            let head = client.send(&request).head();
            assert_eq!(client.response_after(&head).0, status, "{what}");
            assert!(head.contains("\r\nconnection: close\r\n"), "{what}: {head}");
            assert!(client.is_closed(), "{what}");
        }
        let mut client = Client::connect(address);
        client.send("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 8\r\n\r\n12345678");
        assert_eq!(client.response().0, 200, "as large as it may be");
    });
}

#[test]
fn clients_that_dawdle_are_cut_off() {
    let brief = Duration::from_millis(300);
    let limits = Limits { head_timeout: brief, body_timeout: brief, ..Limits::default() };
    serving(limits, |address| {
        let mut idle = Client::connect(address);
        let mut half_a_head = Client::connect(address);
        half_a_head.send("GET / HTTP/1.1\r\nHo");
        let mut after_a_request = Client::connect(address);
        assert_eq!(after_a_request.send(GET).response().0, 200);
        let mut half_a_body = Client::connect(address);
        half_a_body.send("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhel");
        assert_eq!(half_a_body.response().0, 408);
        for client in [&mut idle, &mut half_a_head, &mut after_a_request, &mut half_a_body] {
            assert!(client.is_closed());
        }
    });
}

#[test]
fn connections_past_the_most_are_closed_until_one_ends() {
    serving(Limits { connections_max: 2, ..Limits::default() }, |address| {
        let mut held = [Client::connect(address), Client::connect(address)];
        for client in &mut held {
            assert_eq!(client.send(GET).response().0, 200);
        }
        assert!(Client::connect(address).is_closed());
        drop(held);
        let deadline = Instant::now() + PATIENCE;
        let served_again = || {
            let mut client = Client::connect(address);
            client.0.write_all(GET.as_bytes()).is_ok() && client.0.read(&mut [0]).is_ok_and(|read| read == 1)
        };
        while !served_again() {
            assert!(Instant::now() < deadline, "places of ended connections were never given back");
            std::thread::sleep(Duration::from_millis(10));
        }
    });
}

#[test]
fn a_client_that_never_reads_its_response_is_cut_off() {
    let limits = Limits { write_stall_timeout: Duration::from_millis(100), ..Limits::default() };
    serving(limits, |address| {
        let mut client = Client::connect(address);
        client.send("GET /big HTTP/1.1\r\nHost: x\r\n\r\n");
        std::thread::sleep(Duration::from_millis(500));
        let mut received = Vec::new();
        let ended = client.0.read_to_end(&mut received);
        assert!(received.len() < 32 << 20, "all of it came: {ended:?}");
    });
}

#[test]
fn dropping_the_server_closes_the_listener_and_every_connection() {
    let server = Server::bind(([127, 0, 0, 1], 0).into(), Limits::default()).unwrap();
    let address = server.local_addr();
    let executor = LocalExecutor::new();
    smol::block_on(executor.run(async {
        let task = executor.spawn(server.serve(Rc::new(echo), pending()));
        let client = smol::unblock(move || {
            let mut client = Client::connect(address);
            assert_eq!(client.send(GET).response().0, 200);
            client.send("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhel");
            client
        });
        let mut client = client.await;
        task.cancel().await;
        smol::unblock(move || {
            assert!(client.is_closed());
            assert_eq!(TcpStream::connect(address).unwrap_err().kind(), ErrorKind::ConnectionRefused);
        })
        .await;
        Server::bind(address, Limits::default()).expect("the address is free again");
    }));
}

#[test]
fn stopping_answers_what_was_begun_and_closes_what_is_idle() {
    let server = Server::bind(([127, 0, 0, 1], 0).into(), Limits::default()).unwrap();
    let address = server.local_addr();
    let (stop_sender, stop) = channel::bounded::<Infallible>(1);
    let client = smol::unblock(move || {
        let (mut idle, mut begun) = (Client::connect(address), Client::connect(address));
        assert_eq!(idle.send(GET).response().0, 200);
        begun.send("POST /w HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n");
        assert!(begun.head().starts_with("http/1.1 100 "), "the body is waited for");
        stop_sender.close();
        assert!(idle.is_closed());
        assert_eq!(begun.send("hello").response(), (200, "POST /w None None hello".into()));
        assert!(begun.is_closed());
    });
    let stopped = async {
        let Err(RecvError) = stop.recv().await;
    };
    let started = Instant::now();
    smol::block_on(future::zip(server.serve(Rc::new(echo), stopped), client));
    assert!(started.elapsed() < limits::HTTP_STOP_TIMEOUT, "did not end with its last connection");
}

#[test]
fn stopping_waits_no_longer_than_it_may() {
    let limits = Limits { stop_timeout: Duration::from_millis(100), ..Limits::default() };
    let server = Server::bind(([127, 0, 0, 1], 0).into(), limits).unwrap();
    let mut client = Client::connect(server.local_addr());
    client.send("POST /w HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhel");
    let soon = async {
        Timer::after(Duration::from_millis(100)).await;
    };
    smol::block_on(server.serve(Rc::new(echo), soon));
    assert!(client.is_closed());
}
