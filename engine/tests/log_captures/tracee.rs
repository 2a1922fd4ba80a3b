//! 24,010 DNS packets of a load test: questions and answers to over 8,000 names.

use std::collections::BTreeMap;

use grove::event::{Body, Dns};
use grove::trace::tracee::TraceeDecoder;

use crate::{Decoded, capture, jq, lines, read, text};

#[test]
fn every_question_is_an_event_and_no_answer_is() {
    let Some(path) = capture("dns/tracee-net_packet_dns.jsonl.gz") else { return };
    let bytes = read(&path);
    let decoded = Decoded::of(&mut TraceeDecoder::new(), lines(&bytes));
    assert_eq!(decoded.records, 24_010);

    let mut names: BTreeMap<String, usize> = BTreeMap::new();
    for stored in decoded.iter() {
        let Body::Dns(Dns { name, .. }) = stored.event.body else { panic!("{stored:?}") };
        *names.entry(format!("{} {}", stored.event.pid, text(name))).or_default() += 1;
    }
    let filter = r#"
        .hostProcessId as $pid | .args[] | select(.name == "proto_dns").value | "\(.QR) \($pid) \(
            .questions[0].name | if . == "" then "." else . end)"
    "#;
    let Some(packets) = jq(filter, &bytes) else { return };
    let of = |kind: char| {
        packets.iter().filter(move |packet| packet.starts_with(kind)).map(|packet| packet[2..].to_string())
    };
    let mut expected: BTreeMap<String, usize> = BTreeMap::new();
    of('0').for_each(|question| *expected.entry(question).or_default() += 1);
    assert_eq!(names, expected);
    assert_eq!((decoded.counted, decoded.no_behaviour), (of('0').count(), of('1').count()));
    let mut all: Vec<&str> = packets.iter().map(|packet| packet.rsplit(' ').next().unwrap()).collect();
    all.sort_unstable();
    all.dedup();
    assert_eq!(all.len(), 8_307);
}
