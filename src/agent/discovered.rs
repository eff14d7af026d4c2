//! What each discovery lists at the moment: written by the discoveries' tasks, read when targets are made of it.

use super::notify::Notify;
use crate::discovery::Group;
use std::cell::RefCell;
use std::rc::Rc;

/// Of all jobs.
pub(super) struct Discovered {
    lists: RefCell<Vec<List>>,
    changed: Notify,
}

struct List {
    job: usize,
    groups: Rc<[Group]>,
    /// The first look is over, whatever it came to.
    is_looked_at: bool,
}

impl Discovered {
    pub fn new() -> Discovered {
        Discovered { lists: RefCell::default(), changed: Notify::new() }
    }

    /// A place for one more discovery of the job with this index.
    pub fn add(self: &Rc<Self>, job: usize) -> Publisher {
        let mut lists = self.lists.borrow_mut();
        lists.push(List { job, groups: Rc::default(), is_looked_at: false });
        Publisher { discovered: self.clone(), index: lists.len() - 1 }
    }

    /// All groups of a job.
    pub fn groups(&self, job: usize) -> Vec<Rc<[Group]>> {
        self.lists.borrow().iter().filter(|list| list.job == job).map(|list| list.groups.clone()).collect()
    }

    /// Whether each discovery has had its first look.
    pub fn is_complete(&self) -> bool {
        self.lists.borrow().iter().all(|list| list.is_looked_at)
    }

    /// Returns when some list has changed, or was looked at first.
    pub async fn changed(&self) {
        self.changed.wait().await;
    }
}

/// Where one discovery puts its groups.
pub(super) struct Publisher {
    discovered: Rc<Discovered>,
    index: usize,
}

impl Publisher {
    /// The outcome of a look.
    pub fn publish(&self, groups: Vec<Group>) {
        self.publish_more(groups);
        self.looked();
    }

    /// What is known so far; the first look goes on.
    pub fn publish_more(&self, groups: Vec<Group>) {
        let mut lists = self.discovered.lists.borrow_mut();
        let list = &mut lists[self.index];
        if list.groups[..] != groups[..] {
            list.groups = groups.into();
            self.discovered.changed.wake();
        }
    }

    /// A look is over; what was known stays.
    pub fn looked(&self) {
        let list = &mut self.discovered.lists.borrow_mut()[self.index];
        if !list.is_looked_at {
            list.is_looked_at = true;
            self.discovered.changed.wake();
        }
    }
}
