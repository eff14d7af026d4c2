//! The built agent on block devices: loop devices over files. As root, with losetup and mkfs.ext4: `cargo on-devices`.

mod support;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;
use support::*;

const PATIENCE: Duration = Duration::from_secs(60);

/// A block device over a file of its own, until it is dropped.
struct LoopDevice {
    path: PathBuf,
    backing: PathBuf,
}

impl LoopDevice {
    fn new(folder: &Path, size_bytes: u64, sector_bytes: u32) -> LoopDevice {
        let backing = folder.join(format!("disk-{sector_bytes}"));
        fs::File::create(&backing).unwrap().set_len(size_bytes).unwrap();
        LoopDevice::over(backing, sector_bytes)
    }

    fn over(backing: PathBuf, sector_bytes: u32) -> LoopDevice {
        let sector = format!("--sector-size={sector_bytes}");
        let path = run(&["losetup", "--find", "--show", &sector, backing.to_str().unwrap()]);
        LoopDevice { path: path.trim().into(), backing }
    }

    fn name(&self) -> &str {
        self.path.to_str().unwrap()
    }

    /// What is on it, as everything was synced.
    fn bytes(&self) -> Vec<u8> {
        fs::read(&self.backing).unwrap()
    }
}

impl Drop for LoopDevice {
    fn drop(&mut self) {
        run(&["losetup", "--detach", self.name()]);
    }
}

/// A file system in a folder, until it is dropped.
struct Mounted(PathBuf);

impl Mounted {
    fn new(folder: PathBuf, words: &[&str]) -> Mounted {
        fs::create_dir(&folder).unwrap();
        run(&[&["mount"], words, &[folder.to_str().unwrap()]].concat());
        Mounted(folder)
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        run(&["umount", "--lazy", self.0.to_str().unwrap()]);
    }
}

/// The output of a program that has to succeed.
fn run(words: &[&str]) -> String {
    let output = Command::new(words[0]).args(&words[1..]).output().unwrap();
    assert!(output.status.success(), "{words:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

fn config(exporter: &Server, receiver: &str, buffer: &str) -> String {
    format!(
        "[global]\nscrape_interval = '100ms'\nscrape_timeout = '100ms'\n\
         [[scrape_configs]]\njob_name = 'test'\nstatic_configs = [{{ targets = ['{}'] }}]\n\
         [[remote_write]]\nurl = 'http://{receiver}/api/v1/write'\nname = 'r'\nremote_timeout = '2s'\n\
         queue_config = {{ batch_send_deadline = '200ms', max_backoff = '500ms' }}\n\
         [buffer]\ncommit_interval = '200ms'\n{buffer}\n",
        exporter.address
    )
}

fn counting_exporter() -> Server {
    exporter(|n| format!("# TYPE n counter\nn {n}\n"))
}

fn arrived(receiver: &Receiver) -> Vec<usize> {
    receiver.series("n{").values().filter(|value| !value.is_nan()).map(|value| *value as usize).collect()
}

/// An agent that can't start: its last line.
fn refused(folder: &Path, config: &str) -> String {
    let (status, log) = Agent::start(folder, config).wait();
    assert_eq!(status.code(), Some(1), "{log}");
    log.lines().last().unwrap().to_string()
}

#[test]
#[ignore = "needs root and loop devices: cargo on-devices"]
fn a_whole_device_keeps_samples_through_a_kill() {
    for (sector_bytes, unit) in [(512, "512B"), (4096, "4KiB")] {
        let folder = tempfile::tempdir().unwrap();
        let device = LoopDevice::new(folder.path(), (1 << 20) + 4096, sector_bytes);
        let (exporter, mut receiver) = (counting_exporter(), Receiver::start());
        let address = receiver.go_away();
        let buffer = format!("path = '{}'\n", device.name());
        let config = config(&exporter, &address.to_string(), &buffer);
        let agent = Agent::start(folder.path(), &config);
        agent.wait_for_log("a new ring was made");
        let checked =
            run(&[env!("CARGO_BIN_EXE_narthex"), "check", folder.path().join("narthex.toml").to_str().unwrap()]);
        assert!(checked.contains(&format!("program_unit = \"{unit}\"")), "{checked}");
        assert!(checked.contains("size = \"1MiB\"") && checked.contains("segment_size = \"16KiB\""), "{checked}");
        eventually("twenty scrapes", PATIENCE, || (exporter.requests() > 20).then_some(()));

        let line = refused(&fs::canonicalize(folder.path()).unwrap(), &config);
        assert!(line.contains("is mounted or in use by another program"), "{line}");
        agent.kill();
        let bytes = device.bytes();
        assert!(bytes[1 << 20..].iter().all(|byte| *byte == 0), "nothing is written behind the ring");
        assert!(bytes.chunks(16 * 1024).any(|segment| segment.starts_with(b"NARTHEX\n")));

        let agent = Agent::start(folder.path(), &config);
        receiver.back_at(address);
        eventually("what was committed", PATIENCE, || (arrived(&receiver).len() > 25).then_some(()));
        let arrived = arrived(&receiver);
        assert!((0..15).all(|n| arrived.contains(&n)), "{arrived:?}");
        assert!(agent.stop().0.success());
    }
}

#[test]
#[ignore = "needs root and loop devices: cargo on-devices"]
fn a_file_system_is_refused_mounted_or_not() {
    let folder = tempfile::tempdir().unwrap();
    let device = LoopDevice::new(folder.path(), 8 << 20, 512);
    run(&["mkfs.ext4", "-q", device.name()]);
    run(&["sync"]);
    let before = device.bytes();
    let exporter = counting_exporter();
    let config = config(&exporter, "127.0.0.1:9", &format!("path = '{}'", device.name()));
    let line = refused(folder.path(), &config);
    assert!(line.contains("an ext2, ext3 or ext4 file system") && line.contains("ring format --force"), "{line}");
    assert_eq!(device.bytes(), before);

    let mounted = Mounted::new(folder.path().join("mounted"), &[device.name()]);
    let line = refused(folder.path(), &config);
    drop(mounted);
    assert!(line.contains("is mounted or in use by another program"), "{line}");
}

#[test]
#[ignore = "needs root and loop devices: cargo on-devices"]
fn formatting_a_device_that_holds_something_takes_force_and_nobody_using_it() {
    let folder = tempfile::tempdir().unwrap();
    let device = LoopDevice::new(folder.path(), 8 << 20, 512);
    run(&["mkfs.ext4", "-q", device.name()]);
    run(&["sync"]);
    let before = device.bytes();
    let format = |words: &[&str]| narthex(&[&["ring", "format", device.name(), "--size", "8MiB"], words].concat());
    let refused = |words: &[&str], why: &str| {
        let output = format(words);
        assert!(!output.status.success() && String::from_utf8_lossy(&output.stderr).contains(why), "{output:?}");
    };
    refused(&[], "is not a ring");
    assert_eq!(device.bytes(), before);
    let mounted = Mounted::new(folder.path().join("mounted"), &[device.name()]);
    refused(&["--force"], "is mounted or in use by another program");
    drop(mounted);
    eventually("the file system being let go", PATIENCE, || format(&["--force"]).status.success().then_some(()));
    assert!(device.bytes().iter().all(|byte| *byte == 0));

    let exporter = counting_exporter();
    let agent = Agent::start(folder.path(), &config(&exporter, "127.0.0.1:9", &format!("path = '{}'", device.name())));
    let verified = || narthex(&["ring", "verify", device.name()]);
    eventually("scrapes in the ring", PATIENCE, || {
        let found = String::from_utf8(verified().stdout).unwrap();
        let scrapes = found.split(" scrapes and ").next()?.rsplit(' ').next()?.parse::<u64>().ok()?;
        (scrapes > 3).then_some(())
    });
    assert!(verified().status.success(), "the agent runs meanwhile");
    refused(&["--force"], "in use by another program");
    assert!(agent.stop().0.success());
    refused(&[], "not every endpoint has acknowledged");
}

#[test]
#[ignore = "needs root and loop devices: cargo on-devices"]
fn a_device_takes_another_segment_size_once_nobody_waits() {
    let folder = tempfile::tempdir().unwrap();
    let device = LoopDevice::new(folder.path(), 1 << 20, 512);
    let (exporter, mut receiver) = (counting_exporter(), Receiver::start());
    let address = receiver.go_away();
    let with_path = |device: &LoopDevice, sizes: &str| {
        config(&exporter, &address.to_string(), &format!("path = '{}'\n{sizes}", device.name()))
    };
    let with = |sizes: &str| with_path(&device, sizes);
    let agent = Agent::start(folder.path(), &with(""));
    eventually("twenty scrapes", PATIENCE, || (exporter.requests() > 20).then_some(()));
    assert!(agent.stop().0.success());

    // While samples wait the ring goes on as it is, whatever is configured.
    let mut scraped = exporter.requests();
    for sizes in ["segment_size = '64KiB'", "size = '512KiB'", "program_unit = '4KiB'"] {
        let agent = Agent::start(folder.path(), &with(sizes));
        agent.wait_for_log("which stays as it is until a start finds none");
        eventually("ten scrapes", PATIENCE, || (exporter.requests() > scraped + 10).then_some(()));
        scraped = exporter.requests();
        let log = agent.log();
        assert!(log.contains("ring of 1MiB in segments of 16KiB and units of 512B, which stays"), "{log}");
        assert_eq!(log.matches("which stays as it is").count(), 1, "{log}");
        assert!(agent.stop().0.success());
        let headers = device.bytes().chunks(16 * 1024).filter(|slot| slot.starts_with(b"NARTHEX\n")).count();
        assert!(headers > 0, "{sizes}");
    }

    // On a device that takes it no more, it is left alone.
    let backing = device.backing.clone();
    drop(device);
    let before = fs::read(&backing).unwrap();
    let device = LoopDevice::over(backing.clone(), 4096);
    let line = refused(folder.path(), &with_path(&device, ""));
    assert!(line.contains("holds samples that were not delivered yet") && line.contains("\"512B\""), "{line}");
    assert_eq!(device.bytes(), before);
    drop(device);
    let device = LoopDevice::over(backing, 512);
    let with = |sizes: &str| with_path(&device, sizes);

    let agent = Agent::start(folder.path(), &with("segment_size = '64KiB'"));
    receiver.back_at(address);
    eventually("what waited", PATIENCE, || (arrived(&receiver).len() > 55).then_some(()));
    assert!(agent.log().contains("which stays as it is"));
    assert!(agent.stop().0.success());

    for sizes in ["segment_size = '64KiB'", "size = '512KiB'", "program_unit = '4KiB'"] {
        let agent = Agent::start(folder.path(), &with(sizes));
        let arrived_before = arrived(&receiver).len();
        eventually("more", PATIENCE, || (arrived(&receiver).len() > arrived_before + 5).then_some(()));
        assert!(agent.log().contains("becomes one of"), "{}", agent.log());
        assert!(agent.stop().0.success(), "{sizes}");
    }
    let arrived = arrived(&receiver);
    let missing: Vec<usize> = (0..*arrived.last().unwrap()).filter(|n| !arrived.contains(n)).collect();
    // A scrape that a stop interrupts has no samples; there were eight.
    assert!(missing.len() <= 8, "{missing:?}");
}

/// Nothing waits in the ring, so whatever a kill leaves of it is taken up again.
#[test]
#[ignore = "needs root and loop devices: cargo on-devices"]
fn killed_while_a_device_takes_another_segment_size_it_goes_on_at_the_next_start() {
    let folder = tempfile::tempdir().unwrap();
    let device = LoopDevice::new(folder.path(), 256 << 20, 512);
    let (exporter, receiver) = (counting_exporter(), Receiver::start());
    let with = |segment_size: &str| {
        let buffer = format!("path = '{}'\nsegment_size = '{segment_size}'", device.name());
        config(&exporter, &receiver.address().to_string(), &buffer)
    };
    let run_until_more_arrived = |segment_size: &str| {
        let agent = Agent::start(folder.path(), &with(segment_size));
        let before = arrived(&receiver).len();
        eventually("more", PATIENCE, || (arrived(&receiver).len() > before + 2).then_some(()));
        assert!(agent.stop().0.success());
    };
    run_until_more_arrived("128KiB");
    let mut interrupted = 0;
    for (ms, segment_size) in [(0, "64KiB"), (0, "256KiB"), (10, "64KiB"), (50, "1MiB"), (100, "512KiB")] {
        let agent = Agent::start(folder.path(), &with(segment_size));
        agent.wait_for_log("becomes one of");
        std::thread::sleep(Duration::from_millis(ms));
        interrupted += usize::from(!agent.log().contains("is running"));
        agent.kill();
        run_until_more_arrived(segment_size);
    }
    assert!(interrupted >= 1, "every change was over before its kill");
}

/// The new ring is made beside the old one, so there has to be room for both.
#[test]
#[ignore = "needs root: cargo on-devices"]
fn without_room_for_both_the_old_ring_stays_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let mounted = Mounted::new(folder.path().join("small"), &["-t", "tmpfs", "-o", "size=1m", "none"]);
    let small = &mounted.0;
    let (exporter, mut receiver) = (counting_exporter(), Receiver::start());
    let address = receiver.go_away();
    let with = |size: &str| {
        config(&exporter, &address.to_string(), &format!("path = '{}/ring'\nsize = '{size}'", small.display()))
    };
    let agent = Agent::start(folder.path(), &with("512KiB"));
    eventually("ten scrapes", PATIENCE, || (exporter.requests() > 10).then_some(()));
    assert!(agent.stop().0.success());
    let before = fs::read(small.join("ring")).unwrap();
    let line = refused(folder.path(), &with("768KiB"));
    let (after, files) = (fs::read(small.join("ring")).unwrap(), fs::read_dir(small).unwrap().count());
    let agent = Agent::start(folder.path(), &with("256KiB"));
    agent.wait_for_log("samples were carried over");
    assert!(agent.stop().0.success());
    assert!(line.contains("no room for a ring of 768KiB beside"), "{line}");
    assert_eq!((after, files), (before, 1));
}
