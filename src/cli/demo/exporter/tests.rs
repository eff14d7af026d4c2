use super::*;
use std::collections::HashSet;

fn sample_files() -> ProcFiles {
    ProcFiles {
        stat: "cpu  12336 35087 10995 275062 883 0 253 67 0 0\n\
               cpu0 5645 14770 4927 141686 165 0 122 29 0 0\n\
               cpu1 6690 20316 6068 133375 717 0 131 5 0 0\n\
               intr 608020 0 0 1\nctxt 1234\nbtime 1763720000\nprocesses 77\nprocs_running 2\nprocs_blocked 0\n"
            .into(),
        meminfo: "MemTotal:       24684084 kB\nActive(anon):       1596 kB\nHugePages_Total:       3\n".into(),
        loadavg: "0.01 0.24 0.31 1/96 21889\n".into(),
        uptime: "1679.13 2750.62\n".into(),
        net_dev: "Inter-|   Receive                                |  Transmit\n \
                  face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop\n    \
                  lo: 333593470  189489    0    0    0     0          0         0 7 8 9 10 11 12 13 14\n  \
                  eth0:171428736    7634    1    2    3     4          5         6   643991 5496 0 0 0 0 0 0\n  \
                  ifb0:       0       0    0    0    0     0          0         0        0    0 0 0 0 0 0 0\n"
            .into(),
        diskstats: "   7       0 loop0 5 0 40 1 0 0 0 0 0 1 1\n \
                    254       0 vda 150240 10223 7991194 232901 17795 40698 10779264 26674 0 13592 260542\n \
                    254      16 vdb 0 0 0 0 0 0 0 0 0 0 0\n"
            .into(),
        self_status: "Name:\tnarthex\nVmSize:\t    9060 kB\nVmRSS:\t    1756 kB\nThreads:\t1\n".into(),
    }
}

#[test]
fn figures_come_out_under_the_names_of_node_exporter() {
    let page = render(&sample_files());
    for line in [
        "# HELP node_cpu_seconds_total Seconds the CPUs spent in each mode.",
        "# TYPE node_cpu_seconds_total counter",
        r#"node_cpu_seconds_total{cpu="0",mode="user"} 56.45"#,
        r#"node_cpu_seconds_total{cpu="1",mode="steal"} 0.05"#,
        "node_context_switches_total 1234",
        "node_forks_total 77",
        "node_intr_total 608020",
        "# TYPE node_boot_time_seconds gauge",
        "node_boot_time_seconds 1763720000",
        "node_procs_running 2",
        "node_procs_blocked 0",
        "node_memory_MemTotal_bytes 25276502016",
        "node_memory_Active_anon_bytes 1634304",
        "node_memory_HugePages_Total 3",
        "node_load1 0.01",
        "node_load15 0.31",
        "node_uptime_seconds 1679.13",
        r#"node_network_receive_bytes_total{device="eth0"} 171428736"#,
        r#"node_network_receive_multicast_total{device="eth0"} 6"#,
        r#"node_network_transmit_bytes_total{device="lo"} 7"#,
        r#"node_network_transmit_compressed_total{device="lo"} 14"#,
        r#"node_disk_reads_completed_total{device="vda"} 150240"#,
        r#"node_disk_read_bytes_total{device="vda"} 4091491328"#,
        r#"node_disk_read_time_seconds_total{device="vda"} 232.901"#,
        r#"node_disk_io_time_weighted_seconds_total{device="vda"} 260.542"#,
        "process_resident_memory_bytes 1798144",
        "process_virtual_memory_bytes 9277440",
    ] {
        assert!(page.lines().any(|found| found == line), "missing: {line}\n{page}");
    }
    for left_out in ["cpu=\"\"", "loop0", "vdb", "ifb0", "discard"] {
        assert!(!page.contains(left_out), "{left_out}");
    }
}

/// What a scraper holds a page to: each family in one block under its own HELP and TYPE, no series twice.
fn assert_well_formed(page: &str) {
    let (mut families, mut series, mut family) = (HashSet::new(), HashSet::new(), "");
    let mut lines = page.lines();
    while let Some(line) = lines.next() {
        if let Some(help) = line.strip_prefix("# HELP ") {
            family = help.split(' ').next().unwrap();
            assert!(families.insert(family), "{family} begins twice");
            let kind = lines.next().unwrap().strip_prefix(&format!("# TYPE {family} ")).unwrap();
            assert_eq!(kind == "counter", family.ends_with("_total"), "{family}");
            continue;
        }
        let (name_and_labels, value) = line.rsplit_once(' ').unwrap();
        assert_eq!(name_and_labels.split('{').next().unwrap(), family);
        assert!(series.insert(name_and_labels), "{line} comes twice");
        assert!(is_decimal(value), "{line}");
    }
}

#[test]
fn a_page_is_well_formed_whatever_is_missing_or_cut() {
    let whole = sample_files();
    assert_well_formed(&render(&whole));
    assert_eq!(render(&ProcFiles::default()), "");
    let cut = |text: &str, at: usize| text[..at.min(text.len())].to_owned();
    for at in 0..=whole.stat.len().max(whole.net_dev.len()) {
        assert_well_formed(&render(&ProcFiles {
            stat: cut(&whole.stat, at),
            meminfo: cut(&whole.meminfo, at),
            loadavg: cut(&whole.loadavg, at),
            uptime: cut(&whole.uptime, at),
            net_dev: cut(&whole.net_dev, at),
            diskstats: cut(&whole.diskstats, at),
            self_status: cut(&whole.self_status, at),
        }));
    }
}

#[test]
fn label_values_are_escaped_and_devices_bounded() {
    let devices: String = (0..100).map(|i| format!("we\"ird\\{i}: 1 2\n")).collect();
    let page = render(&ProcFiles { net_dev: devices, ..ProcFiles::default() });
    assert!(page.contains(r#"node_network_receive_bytes_total{device="we\"ird\\0"} 1"#), "{page}");
    assert_eq!(page.matches("node_network_receive_bytes_total{").count(), EXPORTER_DEVICES_MAX);
}

#[test]
fn this_machine_has_a_page_worth_scraping() {
    let page = render(&ProcFiles::read());
    assert_well_formed(&page);
    let series = page.lines().filter(|line| !line.starts_with('#')).count();
    assert!(series >= 50, "only {series} series:\n{page}");
    assert!(resident_bytes().is_some_and(|bytes| bytes > 100_000));
}
