//! Questions to one name server: UDP, and TCP where the answer is too long for it. The edge.

use super::message::{Data, Message, RCODE_NO_NAME, RCODE_SUCCESS, Record, TYPE_A, TYPE_AAAA, encode_query};
use super::name::Name;
use crate::limits::DNS_UDP_BYTES_MAX;
use smol::Timer;
use smol::future::or;
use smol::io::{AsyncReadExt, AsyncWriteExt};
use smol::net::{TcpStream, UdpSocket};
use std::future::Future;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

/// How long a server may take for each of the two.
const ANSWER_TIME_MAX: Duration = Duration::from_secs(2);

/// How long the second kind of address is waited for once there are some of the other: some servers tell of one kind only.
const SECOND_KIND_TIME_MAX: Duration = Duration::from_millis(300);

/// The answer, or why there is none, in one line.
pub async fn ask(server: SocketAddr, name: &Name, kind: u16) -> Result<Message, String> {
    let id = fastrand::u16(..);
    let message = in_time(over_udp(server, id, &encode_query(id, name, kind, true))).await?;
    if !message.is_truncated {
        return Ok(message);
    }
    let message = in_time(over_tcp(server, id, &encode_query(id, name, kind, false))).await?;
    if message.is_truncated { Err("the answer is cut short, even over TCP".into()) } else { Ok(message) }
}

async fn in_time(answer: impl Future<Output = io::Result<Message>>) -> Result<Message, String> {
    let late = async {
        Timer::after(ANSWER_TIME_MAX).await;
        Err(io::Error::new(io::ErrorKind::TimedOut, format!("no answer within {ANSWER_TIME_MAX:?}")))
    };
    or(answer, late).await.map_err(|error| error.to_string())
}

async fn over_udp(server: SocketAddr, id: u16, query: &[u8]) -> io::Result<Message> {
    let socket = connected(server).await?;
    socket.send(query).await?;
    let mut buffer = vec![0; DNS_UDP_BYTES_MAX];
    loop {
        let received = socket.recv(&mut buffer).await?;
        // What answers something else is late, or forged: the right answer may still come.
        if let Some(message) = answer_to(id, query, &buffer[..received]) {
            return Ok(message);
        }
    }
}

async fn connected(server: SocketAddr) -> io::Result<UdpSocket> {
    let any: SocketAddr = match server {
        SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
        SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
    };
    let socket = UdpSocket::bind(any).await?;
    socket.connect(server).await?;
    Ok(socket)
}

async fn over_tcp(server: SocketAddr, id: u16, query: &[u8]) -> io::Result<Message> {
    let mut stream = TcpStream::connect(server).await?;
    stream.write_all(&[&(query.len() as u16).to_be_bytes(), query].concat()).await?;
    let mut len = [0; 2];
    stream.read_exact(&mut len).await?;
    let mut buffer = vec![0; usize::from(u16::from_be_bytes(len))];
    stream.read_exact(&mut buffer).await?;
    answer_to(id, query, &buffer).ok_or_else(|| io::Error::other("what came is no answer to the question"))
}

fn answer_to(id: u16, query: &[u8], bytes: &[u8]) -> Option<Message> {
    let (message, query) = (Message::parse(bytes).ok()?, Message::parse(query).ok()?);
    // Servers that refuse a question need not repeat it.
    let is_same = message.questions == query.questions || message.questions.is_empty();
    (message.id == id && message.is_response && is_same).then_some(message)
}

/// The addresses of a name, of both kinds, asked for at once over one socket: a server that doesn't answer costs one.
///
/// The message says that there is no such name also if there is one without an address. An error, if the server did not tell of
/// one kind and has none of the other.
pub async fn ask_addresses(server: SocketAddr, name: &Name) -> Result<Message, String> {
    let mut told = Told::about(name);
    let asking = async { over_udp_for_all(server, &mut told).await.map_err(|error| error.to_string()) };
    let late = async {
        Timer::after(ANSWER_TIME_MAX).await;
        Err(format!("no answer within {ANSWER_TIME_MAX:?}"))
    };
    let ended = or(asking, late).await;
    for kind in told.kinds_to_ask_alone() {
        if let Ok(whole) = ask(server, name, kind).await {
            told.take(kind, whole);
        }
    }
    told.merged(ended)
}

async fn over_udp_for_all(server: SocketAddr, told: &mut Told) -> io::Result<()> {
    let socket = connected(server).await?;
    for question in &told.questions {
        socket.send(&question.query).await?;
    }
    let mut buffer = vec![0; DNS_UDP_BYTES_MAX];
    while !told.is_complete() {
        let receive = async { socket.recv(&mut buffer).await.map(Some) };
        let enough = async {
            match told.has_addresses() {
                true => Timer::after(SECOND_KIND_TIME_MAX).await,
                false => std::future::pending().await,
            };
            Ok(None)
        };
        let Some(received) = or(receive, enough).await? else { break };
        told.hear(&buffer[..received]);
    }
    Ok(())
}

/// What a server has told of one name so far.
struct Told {
    questions: [Asked; 2],
}

struct Asked {
    id: u16,
    kind: u16,
    query: Vec<u8>,
    answer: Option<Message>,
}

impl Told {
    fn about(name: &Name) -> Told {
        let questions = [TYPE_AAAA, TYPE_A].map(|kind| {
            let id = fastrand::u16(..);
            // Without EDNS, as the C library asks: addresses fit, and old routers know no other.
            Asked { id, kind, query: encode_query(id, name, kind, false), answer: None }
        });
        Told { questions }
    }

    /// What answers something else is late, or forged: the right answer may still come.
    fn hear(&mut self, bytes: &[u8]) {
        for question in self.questions.iter_mut().filter(|question| question.answer.is_none()) {
            question.answer = answer_to(question.id, &question.query, bytes);
        }
    }

    fn take(&mut self, kind: u16, answer: Message) {
        for question in self.questions.iter_mut().filter(|question| question.kind == kind) {
            question.answer = Some(answer.clone());
        }
    }

    fn is_complete(&self) -> bool {
        self.questions.iter().all(|question| question.answer.is_some())
    }

    fn has_addresses(&self) -> bool {
        self.questions.iter().filter_map(|question| question.answer.as_ref()).any(has_address)
    }

    /// Kinds whose answer was too long for UDP, and those that were passed over: some firewalls let one answer through for each
    /// socket. Nothing, if there are addresses or the server is silent altogether.
    fn kinds_to_ask_alone(&self) -> Vec<u16> {
        let is_silent = self.questions.iter().all(|question| question.answer.is_none());
        let is_open = |asked: &&Asked| asked.answer.as_ref().is_none_or(|answer| answer.is_truncated);
        match self.has_addresses() || is_silent {
            true => Vec::new(),
            false => self.questions.iter().filter(is_open).map(|asked| asked.kind).collect(),
        }
    }

    fn merged(self, ended: Result<(), String>) -> Result<Message, String> {
        let answers = || self.questions.iter().filter_map(|question| question.answer.as_ref());
        let found: Vec<Record> =
            answers().filter(|answer| has_address(answer)).flat_map(|a| a.answers.clone()).collect();
        let mut first = answers().next().cloned().ok_or_else(|| ended.err().unwrap_or_default())?;
        if !found.is_empty() {
            (first.rcode, first.answers) = (RCODE_SUCCESS, found);
            return Ok(first);
        }
        // That there is no such name holds for both kinds.
        if answers().any(|answer| answer.rcode == RCODE_NO_NAME) {
            first.rcode = RCODE_NO_NAME;
            return Ok(first);
        }
        if let Some(refusal) = answers().find(|answer| answer.rcode != RCODE_SUCCESS) {
            return Ok(refusal.clone());
        }
        if !self.is_complete() {
            return Err("it tells of one kind of address only, and has none of it".into());
        }
        first.rcode = RCODE_NO_NAME;
        Ok(first)
    }
}

fn has_address(message: &Message) -> bool {
    message.rcode == RCODE_SUCCESS
        && message.answers.iter().any(|record| matches!(record.data, Data::A(_) | Data::Aaaa(_)))
}
