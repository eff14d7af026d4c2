//! The discoveries' tasks: each waits for its files, timers and answers, and publishes the groups that these come to.

use super::AgentError;
use super::discovered::{Discovered, Publisher};
use super::trouble::Trouble;
use crate::config::Config;
use crate::discovery::Group;
use crate::discovery::dns::{DnsSdOptions, look_up};
use crate::discovery::file::{FileDiscovery, FileSdOptions, FileWatcher, folder_of, list_files, read_file};
use crate::discovery::http::HttpDiscovery;
use crate::discovery::mdns::{Browser, Heard, MdnsSdOptions, MdnsSocket, service_name};
use crate::dns::Resolver;
use crate::http_client::HttpClient;
use smol::future::or;
use smol::{LocalExecutor, Task, Timer};
use std::future::Future;
use std::io;
use std::path::Path;
use std::pin::Pin;
use std::rc::Rc;
use std::time::{Duration, Instant};

/// How long files are left alone after something became of them: what is written in several steps is read once.
const SETTLE_TIME: Duration = Duration::from_millis(50);

/// How long `narthex scrape` listens to the local link.
const FIRST_LISTEN_TIME: Duration = Duration::from_secs(3);

/// How long after the port could not be had it is tried again.
const SOCKET_RETRY_INTERVAL: Duration = Duration::from_secs(60);

/// The discoveries of all jobs, until they are started.
pub(super) struct Discoveries {
    discovered: Rc<Discovered>,
    looking: Vec<Pin<Box<dyn Future<Output = ()>>>>,
}

impl Discoveries {
    /// Looks at nothing yet.
    pub fn new(config: &Config, resolver: &Resolver) -> Result<Discoveries, AgentError> {
        let (discovered, mut looking) = (Rc::new(Discovered::new()), Vec::<Pin<Box<dyn Future<Output = ()>>>>::new());
        for (index, job) in config.jobs.iter().enumerate() {
            let publisher = || discovered.add(index);
            for options in &job.discovery.file {
                looking.push(Box::pin(follow_files(options.clone(), publisher())));
            }
            for (options, name) in job.discovery.dns.iter().flat_map(|o| o.names.iter().map(move |name| (o, name))) {
                looking.push(Box::pin(follow_name(options.clone(), name.clone(), publisher())));
            }
            for options in &job.discovery.http {
                let client = HttpClient::new(&options.http, resolver.clone());
                let client = client.map_err(|cause| AgentError::Client { job: job.job_name.clone(), cause })?;
                let discovery = HttpDiscovery::new(options.clone(), client);
                looking.push(Box::pin(follow_url(discovery, options.refresh_interval, publisher())));
            }
            for options in &job.discovery.mdns {
                looking.push(Box::pin(follow_link(options.clone(), publisher())));
            }
        }
        Ok(Discoveries { discovered, looking })
    }

    /// Where their groups are to be found, and the tasks, which end when they are dropped.
    pub fn spawn(self, executor: &LocalExecutor<'static>) -> (Rc<Discovered>, Vec<Task<()>>) {
        let tasks = self.looking.into_iter().map(|looking| executor.spawn(looking)).collect();
        (self.discovered, tasks)
    }
}

async fn follow_files(options: FileSdOptions, publisher: Publisher) {
    let watcher = FileWatcher::new();
    if let Err(error) = &watcher {
        log::error!("files can't be watched ({error}); they are read every refresh_interval only");
    }
    let mut files = FileDiscovery::default();
    let (mut next, mut unwatched) = (Instant::now() + options.refresh_interval, Vec::new());
    loop {
        if let Ok(watcher) = &watcher {
            // Before the files are read, so that no change is missed.
            unwatched = watch_folders(watcher, &options, unwatched);
        }
        let (listed, line) = list_files(&options.files);
        let refresh = files.refresh(&listed, read_file);
        line.into_iter().chain(refresh.lines).for_each(|line| log::warn!("file_sd: {line}"));
        publisher.publish(files.groups().cloned().collect());
        let timer = async {
            Timer::at(next).await;
            Ok(())
        };
        let told = async {
            match &watcher {
                Ok(watcher) => settled(watcher).await,
                Err(_) => std::future::pending().await,
            }
        };
        if let Err(error) = or(timer, told).await {
            log::error!("file_sd: the watch on files failed ({error})");
            Timer::at(next).await;
        }
        if next <= Instant::now() {
            next = following(next, options.refresh_interval);
        }
    }
}

async fn follow_name(options: DnsSdOptions, name: String, publisher: Publisher) {
    let what = format!("dns_sd: {name}");
    let look = async || look_up(&options, &name).await.map(|group| vec![group]);
    look_again(&what, options.refresh_interval, &publisher, look).await;
}

async fn follow_url(mut discovery: HttpDiscovery, interval: Duration, publisher: Publisher) {
    let what = format!("http_sd: {}", discovery.shown_url());
    look_again(&what, interval, &publisher, async || discovery.look().await).await;
}

/// Looks at each interval, and once now. What can't be had leaves the targets as they are.
async fn look_again<E: std::fmt::Display>(
    what: &str,
    interval: Duration,
    publisher: &Publisher,
    mut look: impl AsyncFnMut() -> Result<Vec<Group>, E>,
) {
    let mut trouble = Trouble::default();
    let (begun, mut next) = (Instant::now(), Instant::now());
    loop {
        let line = match look().await {
            Ok(groups) => {
                publisher.publish(groups);
                trouble.succeeded(begun.elapsed())
            }
            Err(problem) => {
                publisher.looked();
                let line = trouble.failed(begun.elapsed(), &problem);
                line.map(|line| format!("its targets stay as they are: {line}"))
            }
        };
        line.into_iter().for_each(|line| log::warn!("{what}: {line}"));
        next = following(next, interval);
        Timer::at(next).await;
    }
}

/// The next time to look: those that went by meanwhile are left out, as with a Go ticker.
fn following(last: Instant, interval: Duration) -> Instant {
    let mut next = last + interval;
    while next <= Instant::now() {
        next += interval;
    }
    next
}

async fn follow_link(options: MdnsSdOptions, publisher: Publisher) {
    let mut socket = loop {
        match MdnsSocket::open() {
            Ok(socket) => break socket,
            Err(error) => log::error!("mdns_sd: {error}; it is tried again"),
        }
        publisher.looked();
        Timer::after(SOCKET_RETRY_INTERVAL).await;
    };
    let services = options.service_types.iter().filter_map(|service| service_name(service));
    let begun = Instant::now();
    let mut browser = Browser::new(services, Duration::ZERO);
    let mut looking = Some(FIRST_LISTEN_TIME);
    loop {
        for packet in browser.poll(begun.elapsed()) {
            socket.send(&packet);
        }
        if browser.take_change() {
            publisher.publish_more(browser.groups());
        }
        if looking.take_if(|until| *until <= begun.elapsed()).is_some() {
            publisher.looked();
        }
        let due = looking.map_or(browser.due(), |until| until.min(browser.due()));
        let timer = async {
            Timer::at(begun + due).await;
            Heard::Nothing
        };
        match or(timer, socket.hear()).await {
            Heard::Message(message) => browser.receive(&message, begun.elapsed()),
            Heard::Links => {
                socket.join();
                browser.restart(begun.elapsed());
            }
            Heard::Nothing => {}
        }
    }
}

async fn settled(watcher: &FileWatcher) -> io::Result<()> {
    watcher.changed().await?;
    Timer::after(SETTLE_TIME).await;
    watcher.forget()
}

/// Watches each folder. The answer is those that can't be, each of which is told when it is not among `known`.
fn watch_folders(watcher: &FileWatcher, options: &FileSdOptions, known: Vec<String>) -> Vec<String> {
    let mut folders: Vec<&Path> = options.files.iter().map(|pattern| folder_of(pattern)).collect();
    folders.sort();
    folders.dedup();
    let mut failed = Vec::new();
    for folder in folders {
        if let Err(error) = watcher.watch(folder) {
            let line = format!("{}: can't be watched ({error}); it is tried again", folder.display());
            if !known.contains(&line) {
                log::warn!("file_sd: {line}");
            }
            failed.push(line);
        }
    }
    failed
}
