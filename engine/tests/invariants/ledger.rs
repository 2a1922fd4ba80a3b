//! Where every event went: the ledger balances at any moment, of every shard, of every image and in total.

use crate::cases;
use crate::common::script::{Script, Settings, script, settings};
use grove::event::{Body, Sink};
use grove::intern::Interner;
use grove::ledger::{Ignored, Ledger};
use grove::{Engine, Overflow};
use proptest::prelude::*;

/// What the script itself says of the ledger at the end.
fn expected(script: &Script) -> (u64, u64) {
    let events = script.events();
    let host = events.iter().filter(|stored| stored.event.container.is_empty()).count();
    (events.len() as u64, host as u64)
}

fn run(script: &Script, settings: Settings, workers: usize) -> Result<(), TestCaseError> {
    let mut config = settings.config(workers);
    config.batch_events = 1;
    let engine = Engine::builder().config(&config).interner(Interner::new()).start().unwrap();
    let mut sender = engine.sender(Overflow::Wait);
    sender.set_recording(engine.recording(Some("r")).unwrap());
    for stored in script.events().iter() {
        sender.event(stored.event);
        let ledger = engine.ledger();
        prop_assert!(ledger.balances(), "{ledger:?}");
    }
    drop(sender);
    let now = engine.snapshot();
    prop_assert!(now.ledger.balances());
    prop_assert_eq!(now.ledger.received, script.events().len() as u64);
    let mut shards = Ledger::default();
    for shard in engine.shard_ledgers() {
        prop_assert!(shard.balances());
        shards.add(&shard);
    }
    prop_assert_eq!(shards, now.ledger);

    let end = engine.shutdown();
    let (received, host) = expected(script);
    prop_assert!(end.failures.is_empty());
    prop_assert!(end.ledger.balances());
    prop_assert_eq!((end.ledger.received, end.ledger.held), (received, 0));
    prop_assert_eq!(end.ledger.ignored(Ignored::Host), host);
    let mut images = Ledger::default();
    for profile in end.profiles.values() {
        for ledger in profile.ledgers().values() {
            prop_assert!(ledger.balances());
            images.add(ledger);
        }
        prop_assert_eq!(profile.tree().stats(), profile.tree().recount());
        prop_assert_eq!(profile.tree().heap_bytes(), profile.tree().recount_bytes());
    }
    prop_assert_eq!(images.received, received - host);
    prop_assert_eq!(images.applied_new, end.ledger.applied_new);
    prop_assert_eq!(images.applied_known, end.ledger.applied_known);
    let lifecycle = |body: &Body<&[u8]>| {
        matches!(body, Body::Fork { .. } | Body::Exit | Body::ContainerStart { .. } | Body::ContainerStop)
    };
    let events = script.events();
    let most = events.iter().filter(|stored| lifecycle(&stored.event.body)).count() as u64;
    prop_assert!(end.ledger.lifecycle <= most);
    Ok(())
}

proptest! {
    #![proptest_config(cases())]

    #[test]
    fn the_ledger_balances_after_every_event(script in script(), settings in settings(), workers in 1..=3_usize) {
        run(&script, settings, workers)?;
    }
}
