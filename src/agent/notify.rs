//! A flag that one task sets and another waits for. Setting it twice is setting it once.

use smol::channel::{Receiver, Sender, bounded};

pub(super) struct Notify {
    set: Sender<()>,
    get: Receiver<()>,
}

impl Notify {
    pub fn new() -> Notify {
        let (set, get) = bounded(1);
        Notify { set, get }
    }

    pub fn wake(&self) {
        // Full: it is set already. It can't be closed, as both ends are here.
        _ = self.set.try_send(());
    }

    /// Returns at once if it was set since the last time.
    pub async fn wait(&self) {
        // As above.
        _ = self.get.recv().await;
    }
}
