//! Devices that come, change, fall silent and say goodbye.

use super::*;
use crate::dns::message::tests::{record, response};
use crate::dns::message::{Data, Message, Record, TYPE_A, TYPE_AAAA, TYPE_PTR, TYPE_SRV, TYPE_TXT};
use crate::limits::MDNS_INSTANCES_MAX;
use proptest::prelude::*;
use std::time::Duration;

const SERVICE: &str = "_prometheus-http._tcp.local";
const PUMP: &str = "Pump\\ 2._prometheus-http._tcp.local";

fn s(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn browser() -> Browser {
    Browser::new([service_name(SERVICE_TYPE_DEFAULT).unwrap()], s(0))
}

fn name(text: &str) -> Name {
    Name::parse(text).unwrap()
}

fn pointer(ttl_s: u32) -> Record {
    record(SERVICE, TYPE_PTR, ttl_s, Data::Ptr(name(PUMP)))
}

fn srv(port: u16) -> Record {
    record(PUMP, TYPE_SRV, 120, Data::Srv { port, target: name("pump2.local") })
}

fn address(last: u8) -> Record {
    record("pump2.local", TYPE_A, 120, Data::A([192, 0, 2, last].into()))
}

fn txt(strings: &[&str]) -> Record {
    record(PUMP, TYPE_TXT, 4500, Data::Txt(strings.iter().map(|text| text.as_bytes().to_vec()).collect()))
}

fn hear(browser: &mut Browser, records: &[Record], now: u64) {
    browser.receive(&Message::parse(&response(0, records, &[])).unwrap(), s(now));
}

fn targets(browser: &Browser) -> Vec<String> {
    let groups = browser.groups();
    groups.iter().flat_map(Group::discovered).map(|mut labels| labels.build().unwrap().to_string()).collect()
}

/// What is asked now: names and types.
fn asked(browser: &mut Browser, now: u64) -> Vec<(String, u16)> {
    let packets = browser.poll(s(now));
    let questions = packets.iter().flat_map(|packet| Message::parse(packet).unwrap().questions);
    let mut asked: Vec<_> = questions.map(|question| (question.name.to_string(), question.kind)).collect();
    asked.sort();
    asked
}

#[test]
fn one_packet_with_everything_is_a_target() {
    let mut browser = browser();
    hear(
        &mut browser,
        &[address(7), srv(9100), txt(&["path=/m", "Room=north", "ha", "", "=x", "room=2"]), pointer(4500)],
        0,
    );
    assert!(browser.take_change() && !browser.take_change());
    assert_eq!(
        targets(&browser),
        [concat!(
            r#"{__address__="192.0.2.7:9100", __meta_mdns_host="pump2.local", "#,
            r#"__meta_mdns_service_instance_name="Pump 2", __meta_mdns_service_type="_prometheus-http._tcp", "#,
            r#"__meta_mdns_txt_ha="true", __meta_mdns_txt_path="/m", __meta_mdns_txt_room="north", __metrics_path__="/m"}"#
        )]
    );
    assert_eq!(browser.groups()[0].source, "_prometheus-http._tcp.local.");
}

#[test]
fn what_is_missing_is_asked_for_until_it_is_there() {
    let mut browser = browser();
    let service = (format!("{SERVICE}."), TYPE_PTR);
    assert_eq!(asked(&mut browser, 0), std::slice::from_ref(&service));
    hear(&mut browser, &[pointer(4500)], 0);
    let instance = |kind| (format!("{PUMP}."), kind);
    assert_eq!(asked(&mut browser, 0), [instance(TYPE_TXT), instance(TYPE_SRV)]);
    assert_eq!(asked(&mut browser, 0), []);
    assert_eq!(asked(&mut browser, 1), [instance(TYPE_TXT), instance(TYPE_SRV), service]);
    hear(&mut browser, &[srv(9100), txt(&[])], 1);
    assert!(targets(&browser).is_empty(), "nobody knows where it is");
    assert_eq!(asked(&mut browser, 1), [("pump2.local.".into(), TYPE_A), ("pump2.local.".into(), TYPE_AAAA)]);
    hear(&mut browser, &[address(7)], 1);
    assert_eq!(targets(&browser).len(), 1);
    assert_eq!(browser.due(), s(3), "the service, ever more seldom");
}

#[test]
fn a_target_lives_as_long_as_its_records_and_is_asked_for_before_they_end() {
    let mut browser = browser();
    hear(&mut browser, &[pointer(4500), srv(9100), txt(&[]), address(7)], 0);
    let instance = (format!("{PUMP}."), TYPE_SRV);
    let host = ("pump2.local.".to_string(), TYPE_A);
    for now in 0..96 {
        asked(&mut browser, now);
    }
    hear(&mut browser, &[srv(9100), address(7)], 96);
    assert!((96..190).all(|now| asked(&mut browser, now).iter().all(|(_, kind)| *kind == TYPE_PTR)), "renewed");
    assert_eq!(asked(&mut browser, 192), [instance, host]);
    for now in 192..217 {
        asked(&mut browser, now);
    }
    assert!(targets(&browser).is_empty(), "it fell silent");
    assert!(browser.take_change());
}

#[test]
fn a_goodbye_takes_the_target_away_after_a_second() {
    let mut browser = browser();
    hear(&mut browser, &[pointer(4500), srv(9100), address(7)], 0);
    browser.poll(s(0));
    hear(&mut browser, &[pointer(0)], 10);
    browser.poll(s(10));
    assert_eq!(targets(&browser).len(), 1);
    assert_eq!(browser.due(), s(11));
    browser.poll(s(11));
    assert!(targets(&browser).is_empty());
    hear(&mut browser, &[pointer(0)], 12);
    assert!(browser.groups().is_empty(), "a goodbye of nobody is nothing");
}

#[test]
fn a_device_that_moves_is_followed() {
    let mut browser = browser();
    hear(&mut browser, &[pointer(4500), srv(9100), address(7)], 0);
    browser.take_change();
    hear(&mut browser, &[srv(9200)], 5);
    assert!(browser.take_change() && targets(&browser)[0].contains("192.0.2.7:9200"));
    let flushing = Record { class: 0x8001, ..address(3) };
    hear(&mut browser, &[flushing], 10);
    browser.poll(s(11));
    assert!(targets(&browser)[0].contains("192.0.2.3:9200"));
    assert_eq!(targets(&browser).len(), 1);
}

#[test]
fn ipv4_comes_first_and_addresses_of_a_link_only_when_they_mean_something() {
    let of = |data| record("pump2.local", if matches!(data, Data::A(_)) { TYPE_A } else { TYPE_AAAA }, 120, data);
    let link = of(Data::Aaaa("fe80::1".parse().unwrap()));
    let global = of(Data::Aaaa("2001:db8::1".parse().unwrap()));
    let auto = of(Data::A([169, 254, 1, 1].into()));
    for (addresses, shown) in [
        (vec![link.clone()], None),
        (vec![link.clone(), global.clone()], Some("[2001:db8::1]:9100")),
        (vec![link, global.clone(), auto.clone()], Some("169.254.1.1:9100")),
        (vec![auto, global, address(9), address(8)], Some("192.0.2.8:9100")),
    ] {
        let mut browser = browser();
        hear(&mut browser, &[vec![pointer(4500), srv(9100)], addresses].concat(), 0);
        let found = targets(&browser);
        assert_eq!(found.len(), usize::from(shown.is_some()));
        assert!(found.iter().all(|target| target.contains(shown.unwrap())), "{found:?}");
    }
}

#[test]
fn others_services_and_queries_are_passed_over() {
    let mut browser = browser();
    let other = record("_ipp._tcp.local", TYPE_PTR, 4500, Data::Ptr(name("P._ipp._tcp.local")));
    let foreign = record(SERVICE, TYPE_PTR, 4500, Data::Ptr(name("P._ipp._tcp.local")));
    let deep = record(SERVICE, TYPE_PTR, 4500, Data::Ptr(name(&format!("a.b.{SERVICE}"))));
    hear(&mut browser, &[other, foreign, deep, srv(1), address(1)], 0);
    assert!(browser.groups().is_empty() && !browser.take_change());
    let query = browser.poll(s(0)).remove(0);
    browser.receive(&Message::parse(&query).unwrap(), s(0));
    assert!(browser.groups().is_empty());
}

#[test]
fn a_link_full_of_devices_is_bounded_and_known_ones_are_not_asked_again() {
    let mut browser = browser();
    for i in 0..MDNS_INSTANCES_MAX + 50 {
        let instance = name(&format!("d{i}.{SERVICE}"));
        let shown = instance.to_string();
        let records = [
            record(SERVICE, TYPE_PTR, 4500, Data::Ptr(instance)),
            record(&shown, TYPE_SRV, 120, Data::Srv { port: 1, target: name(&format!("h{i}.local")) }),
            record(&format!("h{i}.local"), TYPE_A, 120, Data::A([10, 0, 0, 1].into())),
        ];
        hear(&mut browser, &records, 0);
    }
    assert_eq!(targets(&browser).len(), MDNS_INSTANCES_MAX);
    let packets = browser.poll(s(0));
    assert!(packets.iter().all(|packet| packet.len() < 1500), "each fits a frame");
    let first = Message::parse(&packets[0]).unwrap();
    assert!(first.answers.len() > 20, "{} known answers", first.answers.len());
}

#[test]
fn service_types_are_held_to_their_form() {
    assert_eq!(service_name("_http._tcp").unwrap().to_string(), "_http._tcp.local.");
    for bad in ["", "http._tcp", "_http", "_http._tcp.local", "_http._sctp", "_._tcp", "_a\\.b._tcp"] {
        assert!(service_name(bad).is_none(), "{bad}");
    }
}

proptest! {
    /// Whatever is said, in whatever order: nothing panics, and there always is a next time to look that lies ahead.
    #[test]
    fn any_talk_is_survived(talk in prop::collection::vec((0u8..6, 0u32..200, 0u64..60), 0..60)) {
        let (mut browser, mut now) = (browser(), 0);
        for (what, ttl_s, later) in talk {
            let mut said = match what {
                0 => pointer(ttl_s),
                1 => srv(1),
                2 => srv(2),
                3 => txt(&["a=b"]),
                4 => address(1),
                _ => address(2),
            };
            said.ttl_s = ttl_s;
            hear(&mut browser, &[said], now);
            now += later;
            browser.poll(s(now));
            prop_assert!(browser.due() > s(now), "{:?} at {now}", browser.due());
            browser.groups();
        }
    }
}
