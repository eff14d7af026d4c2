//! One name, asked of the servers in turn, under each full name that it may stand for. The rules are those of Prometheus's
//! `lookupWithSearchPath`.

use super::message::{Message, RCODE_NO_NAME, RCODE_SUCCESS, Record};
use super::name::Name;
use super::resolv_conf::ResolvConf;
use std::net::SocketAddr;

/// The records of the first full name that exists; none if nobody knows any of them. An error, if some could not be asked.
///
/// `ask` puts the question to one server; its errors are one line.
pub async fn lookup(
    name: &str,
    conf: &ResolvConf,
    mut ask: impl AsyncFnMut(SocketAddr, &Name) -> Result<Message, String>,
) -> Result<Vec<Record>, String> {
    let mut failure = None;
    for full in conf.names(name) {
        let Some(parsed) = Name::parse(&full) else {
            failure = Some(format!("{full} is too long"));
            continue;
        };
        match ask_any(&parsed, conf, &mut ask).await {
            Ok(message) if message.rcode == RCODE_SUCCESS => return Ok(message.answers),
            Ok(_) => {}
            Err(cause) => failure = Some(cause),
        }
    }
    match failure {
        None => Ok(Vec::new()),
        Some(cause) => Err(cause),
    }
}

/// The first answer that says either what there is or that there is nothing.
async fn ask_any(
    name: &Name,
    conf: &ResolvConf,
    ask: &mut impl AsyncFnMut(SocketAddr, &Name) -> Result<Message, String>,
) -> Result<Message, String> {
    let mut failure = "there is no name server to ask; check resolv.conf, or write nameservers".to_string();
    for server in &conf.servers {
        match ask(*server, name).await {
            Ok(message) if matches!(message.rcode, RCODE_SUCCESS | RCODE_NO_NAME) => return Ok(message),
            Ok(message) => failure = format!("{server} refuses to tell {name} (code {})", message.rcode),
            Err(cause) => failure = format!("{server} does not tell {name}: {cause}"),
        }
    }
    Err(failure)
}

#[cfg(test)]
mod tests {
    use super::super::message::tests::{record, response};
    use super::super::message::{Data, TYPE_A};
    use super::*;

    fn conf() -> ResolvConf {
        ResolvConf::parse("nameserver 192.0.2.1\nnameserver 192.0.2.2\nsearch one two")
    }

    fn coded(rcode: u8, answers: &[Record]) -> Result<Message, String> {
        Ok(Message { rcode, ..Message::parse(&response(1, answers, &[])).unwrap() })
    }

    type Found = Result<Vec<Record>, String>;

    /// Looks `x` up; the answer, and what was asked of whom.
    fn looked_up(answer: impl Fn(&str, &str) -> Result<Message, String>) -> (Found, Vec<[String; 2]>) {
        let mut asked = Vec::new();
        let found = smol::block_on(lookup("x", &conf(), async |server: SocketAddr, name: &Name| {
            asked.push([server.ip().to_string(), name.to_string()]);
            answer(&server.ip().to_string(), &name.to_string())
        }));
        (found, asked)
    }

    #[test]
    fn the_first_name_that_exists_is_taken() {
        let there = [record("x.two", TYPE_A, 1, Data::A([1, 2, 3, 4].into()))];
        let (found, asked) = looked_up(|_, name| match name {
            "x.two." => coded(RCODE_SUCCESS, &there),
            _ => coded(RCODE_NO_NAME, &[]),
        });
        assert_eq!(found.unwrap(), there);
        assert_eq!(asked.len(), 2, "one server was enough for each: {asked:?}");
    }

    #[test]
    fn a_server_that_fails_is_passed_over() {
        let (found, asked) = looked_up(|server, _| match server {
            "192.0.2.1" => Err("timeout".into()),
            _ => coded(RCODE_SUCCESS, &[]),
        });
        assert_eq!(found, Ok(vec![]));
        assert_eq!(asked.len(), 2);
    }

    #[test]
    fn that_nobody_knows_a_name_is_an_answer_and_that_nobody_answers_is_an_error() {
        assert_eq!(looked_up(|_, _| coded(RCODE_NO_NAME, &[])).0, Ok(vec![]));
        let (found, asked) = looked_up(|_, _| coded(2, &[]));
        assert_eq!(found.unwrap_err(), "192.0.2.2:53 refuses to tell x. (code 2)");
        assert_eq!(asked.len(), 6);
        let some = looked_up(|_, name| if name == "x.one." { Err("t".into()) } else { coded(RCODE_NO_NAME, &[]) }).0;
        assert!(some.is_err(), "it might be the one that could not be asked");
    }
}
