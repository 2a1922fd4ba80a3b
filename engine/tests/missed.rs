//! What a source did not deliver is in the ledgers all the same: of the run, and of the image whose container it was.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

mod common;

use common::events;
use grove::config::Config;
use grove::intern::Interner;
use grove::ledger::{Dropped, Ignored, Ledger};
use grove::{Engine, Overflow, UNKNOWN_IMAGE};

/// The ledgers of the run and of one image after all of the text.
fn ledgers(config: &Config, text: &str, image: &str) -> (Ledger, Ledger) {
    let engine = Engine::builder().config(config).interner(Interner::new()).start().unwrap();
    let recording = engine.recording(Some("live")).unwrap();
    let mut sender = engine.sender(Overflow::Wait);
    sender.set_recording(recording);
    events(text).iter().for_each(|stored| {
        sender.send(stored.event);
    });
    drop(sender);
    let end = engine.shutdown();
    assert!(end.ledger.balances() && end.ledger.held == 0, "{:?}", end.ledger);
    let of_image = *end.profiles[image].ledgers()["live"];
    assert!(of_image.balances(), "{of_image:?}");
    (end.ledger, of_image)
}

#[test]
fn each_is_counted_as_one_received_under_its_cause() {
    let text = "
        start web 1
        exec 1 /bin/web
        missed ring_full_open 7
        missed shed_socket 2
        missed repeat 5
        missed of_a_later_version 3
        missed ring_full_open 0
    ";
    let (run, image) = ledgers(&Config::default(), text, "web");
    assert_eq!(run, image);
    assert_eq!(run.received, 2 + 7 + 2 + 5 + 3);
    assert_eq!((run.dropped(Dropped::RingFullOpen), run.dropped(Dropped::ShedSocket)), (7, 2));
    assert_eq!((run.ignored(Ignored::Repeat), run.dropped(Dropped::Source)), (5, 3));
}

#[test]
fn they_wait_with_their_container() {
    let text = "missed ring_full_exec 4\nstart web 1\nmissed ring_full_exec 1";
    let (run, image) = ledgers(&Config::default(), text, "web");
    assert_eq!((run.received, run.dropped(Dropped::RingFullExec)), (6, 5));
    assert_eq!(run, image);
    // Nobody ever says what it was.
    let (_, unknown) = ledgers(&Config::default(), "missed ring_full_exec 4", UNKNOWN_IMAGE);
    assert_eq!((unknown.received, unknown.dropped(Dropped::RingFullExec)), (4, 4));
}

#[test]
fn those_of_no_container_are_lost_and_not_merely_the_hosts() {
    let text = "start web 1\nhost: missed ring_full_open 9\nhost: missed host 3";
    let (run, image) = ledgers(&Config::default(), text, "web");
    assert_eq!((run.dropped(Dropped::RingFullOpen), run.ignored(Ignored::Host), image.received), (9, 3, 1));
}

#[test]
fn every_cause_has_a_name_that_is_read_back() {
    for cause in Dropped::ALL {
        let text = format!("start web 1\nmissed {} 2", cause.name());
        assert_eq!(ledgers(&Config::default(), &text, "web").0.dropped(*cause), 2, "{}", cause.name());
    }
    for reason in Ignored::ALL {
        let text = format!("start web 1\nmissed {} 2", reason.name());
        assert_eq!(ledgers(&Config::default(), &text, "web").0.ignored(*reason), 2, "{}", reason.name());
    }
}
