//! The task that waits for the network to come back, and tells endpoints that wait after a failure. It wakes when the kernel
//! has something to say of links, addresses or routes, and never else.

use super::Shared;
use super::notify::Notify;
use crate::links::{ADDRESSES, LinkSocket, Links, ROUTES};
use smol::Timer;
use std::rc::Rc;
use std::time::Duration;

/// A link is followed by its addresses, and these by routes: what comes within this time is told once, at its end.
const SETTLING: Duration = Duration::from_secs(1);

/// Ends only where nothing can be heard.
pub(super) async fn watch_links(shared: Rc<Shared>) {
    let missed = "an uplink that comes back is noticed at the end of max_backoff; let the sandbox allow AF_NETLINK";
    let socket = match LinkSocket::open(ADDRESSES | ROUTES) {
        Ok(socket) => socket,
        Err(error) => return log::warn!("links can't be watched ({error}): {missed}"),
    };
    let mut links = Links::default();
    loop {
        if let Err(error) = socket.told().await {
            return log::warn!("links can't be watched any more ({error}): {missed}");
        }
        if !take(&socket, &mut links) {
            continue;
        }
        Timer::after(SETTLING).await;
        take(&socket, &mut links);
        log::debug!("a link, an address or a route came up");
        shared.links_up.set(shared.links_up.get() + 1);
        shared.senders.iter().for_each(Notify::wake);
    }
}

/// Whether something came up. What the kernel left out may have.
fn take(socket: &LinkSocket, links: &mut Links) -> bool {
    let mut came_up = false;
    let is_whole = socket.take(|datagram| came_up |= links.hear(datagram));
    came_up || !is_whole
}
