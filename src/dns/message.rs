//! DNS messages (RFC 1035), as far as a client needs them: queries out, records in. Bytes only.
//!
//! ```text
//!  id, flags, four counts ─ questions ─ answers ─ authorities ─ additional records
//!                            name type class           name type class ttl, length, data
//! ```
//!
//! A name may end in a pointer to an earlier place in the message; each pointer has to lead further back than the one before.

use super::name::Name;
use crate::limits::{DNS_RECORDS_MAX, DNS_UDP_BYTES_MAX};
use std::net::{Ipv4Addr, Ipv6Addr};

pub const TYPE_A: u16 = 1;
pub const TYPE_NS: u16 = 2;
pub const TYPE_CNAME: u16 = 5;
pub const TYPE_PTR: u16 = 12;
pub const TYPE_MX: u16 = 15;
pub const TYPE_TXT: u16 = 16;
pub const TYPE_AAAA: u16 = 28;
pub const TYPE_SRV: u16 = 33;
const TYPE_OPT: u16 = 41;

pub const CLASS_IN: u16 = 1;

const FLAG_RESPONSE: u16 = 0x8000;
const FLAG_TRUNCATED: u16 = 0x0200;
const FLAG_RECURSION_DESIRED: u16 = 0x0100;

/// A header ends where the first question's name begins.
const HEADER_BYTES: u16 = 12;

/// The rest of a name is at that place of the message.
const POINTER: u16 = 0xc000;

pub const RCODE_SUCCESS: u8 = 0;
pub const RCODE_NO_NAME: u8 = 3;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    pub id: u16,
    pub is_response: bool,
    pub is_truncated: bool,
    pub rcode: u8,
    pub questions: Vec<Question>,
    pub answers: Vec<Record>,
    pub additional: Vec<Record>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Question {
    pub name: Name,
    pub kind: u16,
    pub class: u16,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    pub name: Name,
    pub kind: u16,
    pub class: u16,
    pub ttl_s: u32,
    pub data: Data,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Data {
    A(Ipv4Addr),
    Aaaa(Ipv6Addr),
    Srv {
        port: u16,
        target: Name,
    },
    Mx(Name),
    Ns(Name),
    Cname(Name),
    Ptr(Name),
    /// Its strings.
    Txt(Vec<Vec<u8>>),
    /// Of a type that nobody here asks for.
    Other,
}

/// The bytes are no message, or hold more records than [`DNS_RECORDS_MAX`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MessageError;

/// A question to a name server, which is asked to ask others. With `has_edns` it may answer in [`DNS_UDP_BYTES_MAX`].
pub fn encode_query(id: u16, name: &Name, kind: u16, has_edns: bool) -> Vec<u8> {
    let mut out = Vec::with_capacity(64);
    let counts = [1, 0, 0, u16::from(has_edns)];
    [id, FLAG_RECURSION_DESIRED].into_iter().chain(counts).for_each(|number| put(&mut out, number));
    put_name(&mut out, name);
    put(&mut out, kind);
    put(&mut out, CLASS_IN);
    if has_edns {
        out.push(0);
        put(&mut out, TYPE_OPT);
        put(&mut out, DNS_UDP_BYTES_MAX as u16);
        out.extend_from_slice(&[0; 6]);
    }
    out
}

/// Questions to everybody on the link. Who would give one of the known answers to the first question stays silent: each is the
/// instance of that name that a pointer record leads to, and the seconds that it still holds. As many go along as fit into
/// `bytes_max`.
pub fn encode_multicast_query(questions: &[Question], known: &[(&Name, u32)], bytes_max: usize) -> Vec<u8> {
    let mut out = vec![0; usize::from(HEADER_BYTES)];
    for question in questions {
        put_name(&mut out, &question.name);
        put(&mut out, question.kind);
        put(&mut out, question.class);
    }
    let mut answers = 0u16;
    for (instance, ttl_s) in known {
        let start = out.len();
        let Some(service) = questions.first() else { break };
        put(&mut out, POINTER | HEADER_BYTES);
        put(&mut out, TYPE_PTR);
        put(&mut out, CLASS_IN);
        out.extend_from_slice(&ttl_s.to_be_bytes());
        let Some(own) = instance.strip_parent(&service.name) else { break };
        put(&mut out, own.iter().map(|label| label.len() as u16 + 1).sum::<u16>() + 2);
        for label in own {
            out.push(label.len() as u8);
            out.extend_from_slice(label);
        }
        put(&mut out, POINTER | HEADER_BYTES);
        if out.len() > bytes_max {
            out.truncate(start);
            break;
        }
        answers += 1;
    }
    out[4..6].copy_from_slice(&(questions.len() as u16).to_be_bytes());
    out[6..8].copy_from_slice(&answers.to_be_bytes());
    out
}

fn put(out: &mut Vec<u8>, number: u16) {
    out.extend_from_slice(&number.to_be_bytes());
}

fn put_name(out: &mut Vec<u8>, name: &Name) {
    out.extend_from_slice(name.wire());
    out.push(0);
}

impl Message {
    pub fn parse(bytes: &[u8]) -> Result<Message, MessageError> {
        let mut reader = Reader { bytes, at: 0 };
        let (id, flags) = (reader.number()?, reader.number()?);
        let counts = [reader.number()?, reader.number()?, reader.number()?, reader.number()?].map(usize::from);
        if counts.iter().sum::<usize>() > DNS_RECORDS_MAX {
            return Err(MessageError);
        }
        let questions = (0..counts[0]).map(|_| reader.question()).collect::<Result<_, _>>()?;
        let answers = reader.records(counts[1])?;
        reader.records(counts[2])?;
        let additional = reader.records(counts[3])?;
        Ok(Message {
            id,
            is_response: flags & FLAG_RESPONSE != 0,
            is_truncated: flags & FLAG_TRUNCATED != 0,
            rcode: (flags & 0xf) as u8,
            questions,
            answers,
            additional,
        })
    }
}

struct Reader<'b> {
    bytes: &'b [u8],
    at: usize,
}

impl<'b> Reader<'b> {
    fn take(&mut self, len: usize) -> Result<&'b [u8], MessageError> {
        let taken = self.bytes.get(self.at..).and_then(|rest| rest.get(..len)).ok_or(MessageError)?;
        self.at += len;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], MessageError> {
        self.take(N)?.try_into().map_err(|_| MessageError)
    }

    fn number(&mut self) -> Result<u16, MessageError> {
        Ok(u16::from_be_bytes(self.array()?))
    }

    fn question(&mut self) -> Result<Question, MessageError> {
        Ok(Question { name: self.name()?, kind: self.number()?, class: self.number()? })
    }

    fn records(&mut self, count: usize) -> Result<Vec<Record>, MessageError> {
        (0..count).map(|_| self.record()).collect()
    }

    fn record(&mut self) -> Result<Record, MessageError> {
        let (name, kind, class) = (self.name()?, self.number()?, self.number()?);
        let ttl_s = u32::from_be_bytes(self.array()?);
        let len = usize::from(self.number()?);
        let end = self.at + len;
        // Names in the data may point back into the message, but not past the data's end.
        let mut inside = Reader { bytes: self.bytes.get(..end).ok_or(MessageError)?, at: self.at };
        let data = inside.data(kind)?;
        self.at = end;
        Ok(Record { name, kind, class, ttl_s, data })
    }

    fn data(&mut self, kind: u16) -> Result<Data, MessageError> {
        Ok(match kind {
            TYPE_A => Data::A(self.array::<4>()?.into()),
            TYPE_AAAA => Data::Aaaa(self.array::<16>()?.into()),
            TYPE_SRV => {
                self.take(4)?;
                Data::Srv { port: self.number()?, target: self.name()? }
            }
            TYPE_MX => {
                self.take(2)?;
                Data::Mx(self.name()?)
            }
            TYPE_NS => Data::Ns(self.name()?),
            TYPE_CNAME => Data::Cname(self.name()?),
            TYPE_PTR => Data::Ptr(self.name()?),
            TYPE_TXT => {
                let mut strings = Vec::new();
                while self.at < self.bytes.len() {
                    let [len] = self.array()?;
                    strings.push(self.take(usize::from(len))?.to_vec());
                }
                Data::Txt(strings)
            }
            _ => Data::Other,
        })
    }

    fn name(&mut self) -> Result<Name, MessageError> {
        let mut name = Name::default();
        // Where to go on once the name ends behind a pointer, and before what the next pointer has to lead.
        let (mut behind, mut before) = (None, self.at);
        loop {
            let [len] = self.array()?;
            match len {
                0 => break,
                1..=63 => name.push(self.take(usize::from(len))?).ok_or(MessageError)?,
                0xc0.. => {
                    let [low] = self.array()?;
                    let place = usize::from(u16::from_be_bytes([len & 0x3f, low]));
                    behind.get_or_insert(self.at);
                    if place >= before {
                        return Err(MessageError);
                    }
                    (before, self.at) = (place, place);
                }
                _ => return Err(MessageError),
            }
        }
        self.at = behind.unwrap_or(self.at);
        Ok(name)
    }
}

#[cfg(test)]
pub mod tests {
    use super::*;
    use proptest::prelude::*;

    /// A response, its names uncompressed.
    pub fn response(id: u16, answers: &[Record], additional: &[Record]) -> Vec<u8> {
        let mut out = Vec::new();
        let counts = [0, answers.len() as u16, 0, additional.len() as u16];
        [id, FLAG_RESPONSE].into_iter().chain(counts).for_each(|number| put(&mut out, number));
        for record in answers.iter().chain(additional) {
            put_name(&mut out, &record.name);
            put(&mut out, record.kind);
            put(&mut out, record.class);
            out.extend_from_slice(&record.ttl_s.to_be_bytes());
            let mut data = Vec::new();
            match &record.data {
                Data::A(address) => data.extend(address.octets()),
                Data::Aaaa(address) => data.extend(address.octets()),
                Data::Srv { port, target } => {
                    [0, 0, *port].into_iter().for_each(|number| put(&mut data, number));
                    put_name(&mut data, target);
                }
                Data::Mx(name) => {
                    put(&mut data, 10);
                    put_name(&mut data, name);
                }
                Data::Ns(name) | Data::Cname(name) | Data::Ptr(name) => put_name(&mut data, name),
                Data::Txt(strings) => strings.iter().for_each(|string| {
                    data.push(string.len() as u8);
                    data.extend_from_slice(string);
                }),
                Data::Other => {}
            }
            put(&mut out, data.len() as u16);
            out.extend(data);
        }
        out
    }

    pub fn record(name: &str, kind: u16, ttl_s: u32, data: Data) -> Record {
        Record { name: Name::parse(name).unwrap(), kind, class: CLASS_IN, ttl_s, data }
    }

    pub fn every_type() -> Vec<Record> {
        let name = |text| Name::parse(text).unwrap();
        vec![
            record("a.example", TYPE_A, 60, Data::A([10, 0, 0, 1].into())),
            record("a.example", TYPE_AAAA, 60, Data::Aaaa(Ipv6Addr::LOCALHOST)),
            record("_x._tcp.example", TYPE_SRV, 60, Data::Srv { port: 9100, target: name("a.example") }),
            record("example", TYPE_MX, 60, Data::Mx(name("mail.example"))),
            record("example", TYPE_NS, 60, Data::Ns(name("ns.example"))),
            record("b.example", TYPE_CNAME, 60, Data::Cname(name("a.example"))),
            record("_x._tcp.local", TYPE_PTR, 4500, Data::Ptr(name("My\\ Pump._x._tcp.local"))),
            record("x.local", TYPE_TXT, 0, Data::Txt(vec![b"path=/m".to_vec(), vec![], vec![0xff]])),
            record("x.local", 99, 1, Data::Other),
        ]
    }

    #[test]
    fn records_of_every_type_are_read() {
        let records = every_type();
        let message = Message::parse(&response(7, &records[..4], &records[4..])).unwrap();
        assert_eq!((message.id, message.is_response, message.rcode), (7, true, RCODE_SUCCESS));
        assert_eq!([message.answers, message.additional].concat(), records);
    }

    #[test]
    fn names_may_point_back_but_never_forth_or_in_circles() {
        // A header for one question, at byte 12 the name.
        let question = |name: &[u8]| [&[0, 1, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0], name, &[0, 1, 0, 1]].concat();
        let two = |name: &[u8]| {
            let mut bytes = [question(b"\x01a\x00"), name.to_vec(), vec![0, 1, 0, 1]].concat();
            bytes[5] = 2;
            Message::parse(&bytes).map(|message| message.questions[1].name.to_string())
        };
        assert_eq!(two(b"\x01b\xc0\x0c").as_deref(), Ok("b.a."));
        for bad in [&b"\xc0\x13"[..], b"\x01b\xc0\x13", b"\xc0\x20", b"\xc0", b"\x40a", b"\x80", b"\x05a"] {
            assert!(two(bad).is_err(), "{bad:?}");
        }
        assert!(Message::parse(&question(b"\xc0\x0c")).is_err(), "itself");
        let long = [&[63][..], &[b'a'; 63]].concat().repeat(4);
        assert!(Message::parse(&question(&[&long[..], &[0]].concat())).is_err(), "256 bytes");
    }

    #[test]
    fn queries_say_what_they_ask() {
        let name = Name::parse("a.example").unwrap();
        let query = encode_query(0x1234, &name, TYPE_SRV, true);
        let message = Message::parse(&query).unwrap();
        assert_eq!((message.id, message.is_response), (0x1234, false));
        assert_eq!(message.questions, [Question { name: name.clone(), kind: TYPE_SRV, class: CLASS_IN }]);
        assert_eq!((message.additional[0].kind, message.additional[0].class), (TYPE_OPT, 4096));
        assert!(Message::parse(&encode_query(1, &name, TYPE_A, false)).unwrap().additional.is_empty());

        let (service, instance) = (Name::parse("_x._tcp.local").unwrap(), Name::parse("p._x._tcp.local").unwrap());
        let asked = [Question { name: service, kind: TYPE_PTR, class: CLASS_IN }];
        let known = vec![(&instance, 100); 500];
        let query = encode_multicast_query(&asked, &known, 1200);
        assert!(query.len() <= 1200);
        let message = Message::parse(&query).unwrap();
        assert_eq!(message.questions, asked);
        assert_eq!((message.answers[0].ttl_s, &message.answers[0].data), (100, &Data::Ptr(instance.clone())));
    }

    proptest! {
        #[test]
        fn any_bytes_are_a_message_or_an_error(bytes in prop::collection::vec(any::<u8>(), 0..600)) {
            _ = Message::parse(&bytes);
        }

        #[test]
        fn a_damaged_message_is_read_or_refused(at in 0usize..400, byte in any::<u8>(), cut in 0usize..400) {
            let mut bytes = response(1, &every_type(), &[]);
            let len = bytes.len();
            bytes[at % len] = byte;
            bytes.truncate(len - cut % len);
            _ = Message::parse(&bytes);
        }
    }
}
