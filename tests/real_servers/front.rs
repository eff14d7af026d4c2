//! TLS in front of a plain receiver, and the uplink that can be taken away: cut, black-holed, restored.
//!
//! ```text
//!  agent ══TLS══► front ──plain──► receiver       Open
//!  agent ──refused──✕                             Cut: nobody listens, every connection closed
//!  agent ══TLS══► front    (nothing more)         BlackHole: connections stand, no byte is passed on or answered
//! ```

use crate::process::{free_port, wait_for};
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use std::collections::BTreeSet;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle, sleep};
use std::time::Duration;

/// How long a side may keep the other from being looked at.
const TURN: Duration = Duration::from_millis(2);
/// After an answer was passed on: until the agent has surely taken it in.
const SETTLING: Duration = Duration::from_millis(250);

pub struct Front {
    pub port: u16,
    wire: Arc<Wire>,
    listening: Option<JoinHandle<()>>,
}

/// What connections share.
struct Wire {
    receiver_port: u16,
    tls: Arc<ServerConfig>,
    state: Mutex<State>,
}

struct State {
    mode: Mode,
    /// Grows with each change of mode: connections belong to the epoch that they began in.
    epoch: u64,
    /// No request is let through that has not begun.
    is_draining: bool,
    next_connection: u64,
    connections: BTreeSet<u64>,
    /// Those of them that have passed on a request whose answer is outstanding.
    busy: BTreeSet<u64>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Mode {
    Open,
    Cut,
    BlackHole,
}

impl Front {
    pub fn open(receiver_port: u16, tls: Arc<ServerConfig>) -> Front {
        let state = State {
            mode: Mode::Open,
            epoch: 0,
            is_draining: false,
            next_connection: 0,
            connections: BTreeSet::new(),
            busy: BTreeSet::new(),
        };
        let wire = Arc::new(Wire { receiver_port, tls, state: Mutex::new(state) });
        let mut front = Front { port: free_port(), wire, listening: None };
        front.listen();
        front
    }

    /// Takes the uplink away between two requests, so that the receiver has nothing that the agent does not know of:
    /// after this, whatever is stored twice was sent twice without need.
    pub fn cut_between_requests(&mut self) {
        self.wire.state.lock().unwrap().is_draining = true;
        wait_for(Duration::from_secs(30), || match self.wire.state.lock().unwrap().busy.len() {
            0 => Ok(()),
            busy => Err(format!("{busy} requests that the receiver has not answered")),
        });
        sleep(SETTLING);
        self.cut();
    }

    /// Takes the uplink away whatever is under way. Returns when every connection is closed.
    pub fn cut(&mut self) {
        self.switch_to(Mode::Cut);
        if let Some(listening) = self.listening.take() {
            listening.join().unwrap();
        }
        while !self.wire.state.lock().unwrap().connections.is_empty() {
            sleep(TURN);
        }
    }

    /// From now on nothing is answered, on old connections or new ones, and nothing reaches the receiver.
    pub fn black_hole(&mut self) {
        self.switch_to(Mode::BlackHole);
    }

    /// Gives the uplink back, on the same port.
    pub fn restore(&mut self) {
        self.switch_to(Mode::Open);
        if self.listening.is_none() {
            self.listen();
        }
    }

    fn switch_to(&self, mode: Mode) {
        let mut state = self.wire.state.lock().unwrap();
        state.mode = mode;
        state.epoch += 1;
        state.is_draining = false;
    }

    fn listen(&mut self) {
        let listener = TcpListener::bind(("127.0.0.1", self.port)).unwrap();
        listener.set_nonblocking(true).unwrap();
        let wire = self.wire.clone();
        self.listening = Some(thread::spawn(move || {
            while wire.state.lock().unwrap().mode != Mode::Cut {
                match listener.accept() {
                    Ok((agent, _)) => wire.clone().serve(agent),
                    Err(_) => sleep(TURN),
                }
            }
        }));
    }
}

impl Drop for Front {
    /// Ends the threads; waiting for them could hold up a panicking test.
    fn drop(&mut self) {
        self.switch_to(Mode::Cut);
    }
}

impl Wire {
    fn serve(self: Arc<Self>, agent: TcpStream) {
        let (id, epoch) = {
            let mut state = self.state.lock().unwrap();
            let id = state.next_connection;
            state.next_connection += 1;
            state.connections.insert(id);
            (id, state.epoch)
        };
        thread::spawn(move || {
            // An error is either side hanging up, which ends the connection on the other side too.
            let _ = self.pass_on(id, epoch, agent);
            let mut state = self.state.lock().unwrap();
            state.connections.remove(&id);
            state.busy.remove(&id);
        });
    }

    fn pass_on(&self, id: u64, epoch: u64, agent: TcpStream) -> io::Result<()> {
        agent.set_nonblocking(false)?;
        agent.set_nodelay(true)?;
        agent.set_read_timeout(Some(TURN))?;
        let session = ServerConnection::new(self.tls.clone()).map_err(io::Error::other)?;
        let mut agent = StreamOwned::new(session, agent);
        let mut receiver = TcpStream::connect(("127.0.0.1", self.receiver_port))?;
        receiver.set_nodelay(true)?;
        receiver.set_read_timeout(Some(TURN))?;
        let mut bytes = [0; 16 * 1024];
        while self.is_open(epoch) {
            if self.may_ask(id) {
                match read_some(&mut agent, &mut bytes)? {
                    // What was read is passed on only if no cut came between: else the receiver has more than it should.
                    Some(length) if self.begin(id, epoch) => receiver.write_all(&bytes[..length])?,
                    Some(_) => break,
                    None => {}
                }
            }
            if let Some(length) = read_some(&mut receiver, &mut bytes)?
                && self.is_open(epoch)
            {
                agent.write_all(&bytes[..length])?;
                agent.flush()?;
                self.state.lock().unwrap().busy.remove(&id);
            }
        }
        self.stand_still(epoch);
        Ok(())
    }

    fn is_open(&self, epoch: u64) -> bool {
        let state = self.state.lock().unwrap();
        state.mode == Mode::Open && state.epoch == epoch
    }

    fn may_ask(&self, id: u64) -> bool {
        let state = self.state.lock().unwrap();
        !state.is_draining || state.busy.contains(&id)
    }

    /// Whether what the agent sent may be passed on; if so, an answer is outstanding from here on.
    fn begin(&self, id: u64, epoch: u64) -> bool {
        let mut state = self.state.lock().unwrap();
        let may = state.epoch == epoch && (!state.is_draining || state.busy.contains(&id));
        if may {
            state.busy.insert(id);
        }
        may
    }

    /// A black hole keeps the connection without reading or answering; any other change closes it at once.
    fn stand_still(&self, epoch: u64) {
        let began = self.state.lock().unwrap().epoch.max(epoch);
        loop {
            let state = self.state.lock().unwrap();
            if state.mode != Mode::BlackHole || state.epoch != began {
                return;
            }
            drop(state);
            sleep(TURN);
        }
    }
}

/// `None`: nothing came in time. An orderly end is an error like any other.
fn read_some(side: &mut impl Read, bytes: &mut [u8]) -> io::Result<Option<usize>> {
    match side.read(bytes) {
        Ok(0) => Err(ErrorKind::UnexpectedEof.into()),
        Ok(length) => Ok(Some(length)),
        Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => Ok(None),
        Err(error) => Err(error),
    }
}
