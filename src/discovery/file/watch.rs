//! inotify on the folders of files. The edge.

use rustix::fs::inotify::{self, CreateFlags, WatchFlags};
use rustix::io::Errno;
use smol::Async;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::path::Path;

/// Tells that something became of some file in the folders that are watched: written and closed, renamed, made, removed.
pub struct FileWatcher {
    events: Async<OwnedFd>,
}

impl FileWatcher {
    pub fn new() -> io::Result<FileWatcher> {
        let fd = inotify::init(CreateFlags::NONBLOCK | CreateFlags::CLOEXEC)?;
        Ok(FileWatcher { events: Async::new_nonblocking(fd)? })
    }

    /// Watches a folder. To be called again now and then: a folder that was removed and made anew is another one.
    pub fn watch(&self, folder: &Path) -> io::Result<()> {
        let flags = WatchFlags::CLOSE_WRITE
            | WatchFlags::CREATE
            | WatchFlags::DELETE
            | WatchFlags::MOVED_FROM
            | WatchFlags::MOVED_TO
            | WatchFlags::DELETE_SELF
            | WatchFlags::MOVE_SELF
            | WatchFlags::ONLYDIR;
        inotify::add_watch(&self.events, folder, flags)?;
        Ok(())
    }

    /// Waits until something happens.
    pub async fn changed(&self) -> io::Result<()> {
        self.events.readable().await?;
        self.forget()
    }

    /// Takes off what has been told already.
    pub fn forget(&self) -> io::Result<()> {
        let mut buffer = [MaybeUninit::uninit(); 1024];
        let mut reader = inotify::Reader::new(&self.events, &mut buffer);
        loop {
            match reader.next() {
                Ok(_) => {}
                Err(Errno::AGAIN) => return Ok(()),
                Err(error) => return Err(error.into()),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use smol::Timer;
    use smol::future::or;
    use std::time::Duration;

    #[test]
    fn what_becomes_of_files_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let (file, other) = (folder.path().join("a.json"), folder.path().join("b"));
        let watcher = FileWatcher::new().unwrap();
        watcher.watch(folder.path()).unwrap();
        let told = || {
            let late = async {
                Timer::after(Duration::from_millis(200)).await;
                false
            };
            smol::block_on(or(async { watcher.changed().await.is_ok() }, late))
        };
        assert!(!told(), "nothing happened");
        std::fs::write(&file, "[]").unwrap();
        assert!(told());
        std::fs::rename(&file, &other).unwrap();
        assert!(told());
        std::fs::remove_file(&other).unwrap();
        assert!(told());
        assert!(!told(), "all of it was told");
        assert!(watcher.watch(&file).is_err());
    }
}
