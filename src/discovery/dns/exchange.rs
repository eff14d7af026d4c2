//! One question to one name server: UDP, and TCP where the answer is too long for it. The edge.

use super::message::{Message, encode_query};
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
    let any: SocketAddr = match server {
        SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
        SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
    };
    let socket = UdpSocket::bind(any).await?;
    socket.connect(server).await?;
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
