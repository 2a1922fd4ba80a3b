//! What becomes one node: shapes, patterns and what they stand for, networks, and what never generalises.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

mod common;

use common::{check, check_with, get_or_insert_tagged, grow, picture_of};
use grove::event::{Body, EventRef, Open};
use grove::intern::Interner;
use grove::path::{Protect, Sketch};
use grove::profile::ProcessDoc;
use grove::tree::{ActivityTree, Rules};
use proptest::prelude::*;
use std::fmt::Write;
use std::sync::Arc;
use std::time::Instant;

/// One line for each of `numbers`, `#` standing for the number.
fn each(numbers: impl IntoIterator<Item = u32>, line: &str) -> String {
    numbers.into_iter().fold(String::new(), |mut text, n| {
        writeln!(text, "{}", line.replace('#', &n.to_string())).unwrap();
        text
    })
}

/// The documents of what a program does.
fn docs(events: &str) -> Vec<ProcessDoc> {
    grow(&format!("exec 1<-0 /bin/app\n{events}"), &Rules::default()).0.tree().to_docs()
}

#[test]
fn sixteen_names_of_a_shape_stay_and_seventeen_are_a_pattern() {
    let files = |n| docs(&each(0..n, "open 1 /tmp/sess-#.tmp"))[0].files.clone();
    assert_eq!(files(16).len(), 16);
    assert!(files(16).iter().all(|f| !f.pattern && f.distinct == 0 && f.exemplars.is_empty()));
    let pattern = &files(17)[..];
    assert_eq!(pattern.len(), 1);
    assert_eq!((pattern[0].path.as_str(), pattern[0].pattern), ("/tmp/sess-*.tmp", true));
}

#[test]
fn the_fanout_is_the_configured_one() {
    for fanout in [1, 3, 16, 40] {
        let rules = Rules { path_fanout: fanout, ..Rules::default() };
        let files = |n| grow(&each(0..n, "open 1 /tmp/#"), &rules).0.tree().stats().file_nodes;
        assert_eq!((files(fanout as u32), files(fanout as u32 + 1)), (fanout as u64, 1), "{fanout}");
    }
}

#[test]
fn names_agree_in_separators_and_fixed_parts_or_are_of_other_shapes() {
    let events = each(0..17, "open 1 /d/a-#") + &each(0..16, "open 1 /d/b-#") + &each(0..16, "open 1 /d/a_#");
    let files = docs(&events)[0].files.clone();
    assert_eq!(files.iter().filter(|f| f.pattern).map(|f| &*f.path).collect::<Vec<_>>(), ["/d/a-*"]);
    assert_eq!(files.len(), 33);
}

#[test]
fn names_without_a_variable_part_never_generalise() {
    let words = (0..100).map(|i| format!("open 1 /d/{}\n", "abcdefghij".repeat(i + 1)));
    assert_eq!(docs(&words.collect::<String>())[0].files.len(), 100);
}

#[test]
fn a_pattern_absorbs_later_names_and_knows_them() {
    let ledger = check(
        &format!("exec 1<-0 /bin/app\n{}{}", each(0..17, "open 1 /d/f#"), each(100..200, "open 1 /d/f#")),
        "
        /bin/app
          - r /d/*
        ",
    );
    assert_eq!((ledger.applied_new, ledger.applied_known), (18, 100));
}

#[test]
fn a_pattern_tells_how_many_names_it_stands_for_and_the_ones_of_smallest_hash() {
    for n in [17, 300] {
        let events = each(0..n, "open 1 /srv/data/f#");
        let file = docs(&events)[0].files[0].clone();
        let paths: Vec<String> = (0..n).map(|i| format!("/srv/data/f{i}")).collect();
        let sketch: Sketch = paths.iter().map(String::as_str).collect();
        let names: Vec<&str> = sketch.exemplars().iter().map(|p| p.strip_prefix("/srv/data/").unwrap()).collect();
        assert_eq!(
            (file.distinct, file.exemplars),
            (sketch.distinct(), names.iter().map(|n| (*n).to_owned()).collect())
        );
    }
}

#[test]
fn what_is_below_the_names_of_a_pattern_is_united() {
    let events = each(0..17, "open 1 /d/job#/conf") + "open 1 /d/job3/log w\nopen 1 /d/job99/conf rw\nopen 1 /d/job4";
    check(
        &format!("exec 1<-0 /bin/app\n{events}"),
        "
        /bin/app
          - r /d/*
          - rw /d/*/conf
          - w /d/*/log
        ",
    );
}

#[test]
fn patterns_nest_and_the_inner_ones_count_over_the_union() {
    // No directory has more than two names; together they have twenty.
    let events = (0..20).map(|i| format!("open 1 /d/job{i}/part-{i}\nopen 1 /d/job{i}/part-{}\n", i + 1));
    check(
        &format!("exec 1<-0 /bin/app\n{}", events.collect::<String>()),
        "
        /bin/app
          - r /d/*/part-*
        ",
    );
}

#[test]
fn a_directory_opened_itself_is_a_file_and_one_that_never_was_is_none() {
    let (tree, _) = grow("open 1 /a/b/c\nopen 1 /a", &Rules::default());
    assert_eq!(tree.stats().file_nodes, 2);
}

#[test]
fn protected_paths_never_generalise() {
    for dir in ["/etc", "/etc/ssl/certs", "/root", "/home/user7/.ssh", "/run/secrets", "/var/run/secrets/k8s", "/boot"]
    {
        let files = docs(&each(0..40, &format!("open 1 {dir}/key#")))[0].files.clone();
        assert_eq!(files.len(), 40, "{dir}");
    }
    // A home is not protected, what is in it is: forty homes are one pattern, below which keys stay apart.
    let homes = docs(&each(0..40, "open 1 /home/u#/.ssh/id_1\nopen 1 /home/u#/.ssh/id_2"))[0].files.clone();
    assert_eq!(homes.iter().map(|f| &*f.path).collect::<Vec<_>>(), ["/home/*/.ssh/id_1", "/home/*/.ssh/id_2"]);
}

#[test]
fn sockets_directly_in_run_are_protected_and_other_files_there_are_not() {
    for run in ["/run", "/var/run"] {
        let count = |line: &str| docs(&each(0..40, &line.replace("RUN", run)))[0].files.len();
        assert_eq!(count("open 1 RUN/d#.sock"), 40);
        assert_eq!(count("open 1 RUN/d#.pid"), 1);
        assert_eq!(count("open 1 RUN/app/d#.sock"), 1);
    }
    let unix = docs(&each(0..40, "connect 1 unix /run/d#.sock"))[0].sockets.len();
    assert_eq!(unix, 40, "as unix sockets too");
}

#[test]
fn more_can_be_protected() {
    let rules = Rules { protect: Protect::new(["/srv/db*/keys"]).unwrap(), ..Rules::default() };
    let count = |line: &str| grow(&each(0..40, line), &rules).0.stats().file_nodes;
    assert_eq!((count("open 1 /srv/db1/keys/k#"), count("open 1 /srv/web1/keys/k#")), (40, 1));
}

#[test]
fn dns_names_generalise_label_by_label_from_the_right() {
    check(
        &format!(
            "exec 1<-0 /bin/app\n{}{}{}",
            each(0..17, "dns 1 w#.backend.internal A"),
            each(0..17, "dns 1 api.shard#.example.com AAAA"),
            each(0..16, "dns 1 w#.other.internal A"),
        )
        .replace("w0.other.internal A", "w0.other.internal HTTPS"),
        &format!(
            "/bin/app\n  - dns *.backend.internal A\n  - dns api.*.example.com AAAA\n{}",
            (0..16).map(|i| format!("w{i}")).collect::<std::collections::BTreeSet<_>>().iter().fold(
                String::new(),
                |text, w| {
                    let qtype = if w == "w0" { "HTTPS" } else { "A" };
                    text + &format!("  - dns {w}.other.internal {qtype}\n")
                }
            ),
        ),
    );
    let dns = docs(&each(0..17, "dns 1 w#.x A"))[0].dns[0].clone();
    assert!(dns.pattern && dns.exemplars.contains(&"w3.x".to_owned()), "{dns:?}");
}

#[test]
fn the_types_of_united_dns_names_are_united() {
    let events = each(0..16, "dns 1 w#.x A") + "dns 1 w16.x AAAA\ndns 1 w99.x MX";
    assert_eq!(docs(&events)[0].dns[0].qtypes, ["A", "AAAA", "MX"]);
}

#[test]
fn unix_sockets_generalise_as_paths_each_operation_for_itself() {
    check(
        &format!(
            "exec 1<-0 /bin/app\n{}{}connect 1 unix @abstract-1\n",
            each(0..17, "connect 1 unix /tmp/x-#.sock"),
            each(0..3, "bind 1 unix /tmp/x-#.sock"),
        ),
        "
        /bin/app
          - bind unix ? /tmp/x-0.sock 0
          - bind unix ? /tmp/x-1.sock 0
          - bind unix ? /tmp/x-2.sock 0
          - connect unix ? /tmp/x-*.sock 0
          - connect unix ? @abstract-1 0
        ",
    );
    let abstract_ones = docs(&each(0..17, "connect 1 unix @a-#/b"));
    assert_eq!(abstract_ones[0].sockets.iter().map(|s| &*s.addr).collect::<Vec<_>>(), ["@a-*/b"]);
}

#[test]
fn programs_of_one_parent_generalise_and_what_they_did_is_united() {
    let events = (0..17).map(|i| {
        let pid = 100 + i;
        format!("fork {pid}<-1\nexec {pid}<-1 /tmp/build-{i}/run\nopen {pid} /in-{}\n", if i < 9 { "a" } else { "b" })
    });
    // Processes that run when their program is merged go on as the merged one, and so do their children.
    let later = "open 100 /later\nfork 200<-101\nexec 200<-101 /bin/child\nfork 300<-1\nexec 300<-1 /tmp/build-99/run";
    check(
        &format!("exec 1<-0 /bin/make\n{}{later}", events.collect::<String>()),
        "
        /bin/make
          /tmp/build-*/run
            - r /in-a
            - r /in-b
            - r /later
            /bin/child
        ",
    );
}

#[test]
fn children_of_united_programs_are_united() {
    let events = (0..17).map(|i| {
        let (pid, child) = (100 + i, 200 + i);
        format!(
            "fork {pid}<-1\nexec {pid}<-1 /srv/v{i}\nfork {child}<-{pid}\nexec {child}<-{pid} /bin/sh\nopen {child} /f{i}\n"
        )
    });
    check(
        &format!("exec 1<-0 /init\n{}open 216 /after\n", events.collect::<String>()),
        "
        /init
          /srv/*
            /bin/sh
              - r /*
              - r /after
        ",
    );
}

#[test]
fn programs_of_different_parents_do_not_add_up() {
    let events =
        (0..20).map(|i| format!("exec {0}<-0 /bin/{1}\nexec {2}<-{0} /srv/v{i}\n", 10 + i, "xy".repeat(i + 1), 50 + i));
    let (tree, _) = grow(&events.collect::<String>(), &Rules::default());
    assert_eq!(tree.stats().process_nodes, 40);
}

#[test]
fn programs_keep_their_names_apart_from_files_of_the_same_directory() {
    // Nine programs and nine files in the root directory are nine and nine, not eighteen of one shape.
    let events = each(0..9, "exec 1#<-1 /p#") + &each(0..9, "open 1 /p#") + &each(20..29, "open 1 /p#");
    let (tree, _) = grow(&format!("exec 1<-0 /bin/sh\n{events}"), &Rules::default());
    let stats = tree.stats();
    assert_eq!((stats.process_nodes, stats.file_nodes), (10, 1));
    let picture = picture_of(tree.tree());
    assert!(picture.contains("  - r /*\n") && picture.contains("\n  /p0\n"), "{picture}");
}

#[test]
fn multi_call_names_and_marks_survive_generalisation() {
    let events =
        (0..17).map(|i| format!("exec {0}<-1 /srv/v{i}/busybox {1}\n", 100 + i, if i < 5 { "ls" } else { "cat" }));
    check(
        &format!("exec 1<-0 /init\n{}", events.collect::<String>()),
        "
        /init
          /srv/*/busybox argv0=cat
          /srv/*/busybox argv0=ls
        ",
    );
}

#[test]
fn addresses_become_networks_and_networks_become_any() {
    let hosts = |nets: u32, each_net: u32| {
        (0..nets).flat_map(move |n| (1..=each_net).map(move |h| format!("connect 1 10.0.{n}.{h} 443 tcp\n")))
    };
    let addresses =
        |events: String| -> Vec<String> { docs(&events)[0].sockets.iter().map(|s| s.addr.clone()).collect() };
    assert_eq!(addresses(hosts(1, 16).collect()).len(), 16);
    assert_eq!(addresses(hosts(1, 17).collect()), ["10.0.0.0/24"]);
    assert_eq!(addresses(hosts(16, 2).collect()).len(), 16);
    assert!(addresses(hosts(16, 2).collect()).iter().all(|a| a.ends_with(".0/24")));
    assert_eq!(addresses(hosts(17, 1).collect()), ["*"], "seventeen addresses are as many networks");
    assert_eq!(addresses(hosts(17, 2).collect()), ["*"]);
}

#[test]
fn peers_are_counted_for_one_operation_family_transport_and_port() {
    let events = each(1..17, "connect 1 10.0.0.# 443 tcp")
        + &each(1..17, "connect 1 10.0.0.# 443 udp")
        + &each(1..17, "connect 1 10.0.0.# 80 tcp")
        + &each(1..17, "bind 1 10.0.0.# 443 tcp")
        + &each(1..18, "connect 1 10.0.0.# 443");
    let sockets = docs(&events)[0].sockets.clone();
    assert_eq!((sockets.len(), sockets.iter().filter(|s| s.pattern).count()), (65, 1));
}

#[test]
fn loopback_and_unspecified_addresses_stay_as_they_are_and_do_not_count() {
    let loopback = each(1..30, "connect 1 127.0.0.# 80 tcp");
    assert_eq!(docs(&loopback)[0].sockets.len(), 29);
    let sockets =
        docs(&(loopback + "connect 1 0.0.0.0 80 tcp\n" + &each(1..30, "connect 1 10.0.0.# 80 tcp")))[0].sockets.clone();
    assert_eq!((sockets.len(), sockets.iter().filter(|s| s.pattern).count()), (31, 1));
}

#[test]
fn v6_networks_are_of_64_bits_and_mapped_addresses_are_v4_addresses() {
    let addresses =
        |line: &str| -> Vec<String> { docs(&each(1..18, line))[0].sockets.iter().map(|s| s.addr.clone()).collect() };
    assert_eq!(addresses("connect 1 2001:db8:1:2::# 443 tcp"), ["2001:db8:1:2::/64"]);
    assert_eq!(addresses("connect 1 ::ffff:10.0.3.# 443 tcp"), ["10.0.3.0/24"]);
}

#[test]
fn ports_that_nobody_chose_become_any_port_once_they_are_too_many() {
    let sockets = |events: &str| -> Vec<String> {
        let all = docs(events)[0].sockets.clone();
        all.iter().map(|s| format!("{} {} {} {}", s.op, s.proto.as_deref().unwrap_or("?"), s.addr, s.port)).collect()
    };
    let ports = |range: std::ops::Range<u32>| each(range, "connect 1 10.0.0.5 400# tcp");
    assert_eq!(sockets(&ports(10..26)).len(), 16);
    assert_eq!(sockets(&ports(10..27)), ["connect tcp 10.0.0.5 0"]);
    // Over all addresses; those come after, and generalise as others do.
    let many = each(10..27, "connect 1 10.0.0.# 400# tcp");
    assert_eq!(sockets(&many), ["connect tcp 10.0.0.0/24 0"]);
    // Ports that somebody chose, other transports and what was bound stay.
    let others = "connect 1 10.0.0.5 443 tcp\nconnect 1 10.0.0.5 40000 udp\nbind 1 0.0.0.0 8080 tcp\n";
    assert_eq!(
        sockets(&(ports(10..27) + others)),
        ["bind tcp 0.0.0.0 8080", "connect tcp 10.0.0.5 0", "connect tcp 10.0.0.5 443", "connect udp 10.0.0.5 40000"]
    );
    // Half of them in either of two trees.
    let halves = [ports(10..19), ports(18..27)];
    assert_eq!(sockets(&halves.concat()), ["connect tcp 10.0.0.5 0"]);
}

#[test]
fn how_much_went_over_a_connection_is_known_of_its_network_and_of_any_port() {
    let volume = |events: &str| {
        let all = docs(events)[0].sockets.clone();
        all.iter().map(|s| (s.addr.clone(), s.port, s.volume.and_then(|v| v.sent))).collect::<Vec<_>>()
    };
    let large = "flow 1 connect 10.0.0.1 443 tcp --sent=1000\n";
    let peers = each(1..18, "connect 1 10.0.0.# 443 tcp");
    assert_eq!(volume(&(large.to_owned() + &peers)), [("10.0.0.0/24".to_owned(), 443, Some(10))]);
    assert_eq!(volume(&(peers + large)), [("10.0.0.0/24".to_owned(), 443, Some(10))]);
    let large = "flow 1 connect 10.0.0.5 40010 tcp --sent=1000\n";
    let ports = each(10..27, "connect 1 10.0.0.5 400# tcp");
    assert_eq!(volume(&(large.to_owned() + &ports)), [("10.0.0.5".to_owned(), 0, Some(10))]);
    assert_eq!(volume(&(ports + large)), [("10.0.0.5".to_owned(), 0, Some(10))]);
}

#[test]
fn a_socket_known_by_its_network_is_known() {
    let ledger = check(
        &format!(
            "exec 1<-0 /bin/app\n{}connect 1 10.0.0.200 443 tcp\nconnect 1 10.9.0.1 443 tcp",
            each(1..18, "connect 1 10.0.0.# 443 tcp")
        ),
        "
        /bin/app
          - connect inet tcp 10.0.0.0/24 443
          - connect inet tcp 10.9.0.0/24 443
        ",
    );
    assert_eq!((ledger.applied_new, ledger.applied_known), (19, 1));
}

#[test]
fn a_literal_star_is_not_a_pattern() {
    let files = docs(
        &(each(0..17, "open 1 /d/f#")
            + "open 1 /d/*\nopen 1 /e/a*b\nopen 1 /e/a\\b\nopen 1 /x/0123456789abcdef0123456789abcdef"),
    )[0]
    .files
    .clone();
    let files: Vec<_> = files.iter().map(|f| (&*f.path, f.pattern)).collect();
    assert_eq!(files, [("/d/*", true), (r"/d/\*", false), (r"/e/a\*b", false), (r"/e/a\\b", false), ("/x/*", true)]);
}

#[test]
fn stars_in_names_do_not_make_them_variable() {
    let names = (1..40).map(|i| format!("open 1 /d/{}\n", "*".repeat(i)));
    assert_eq!(docs(&names.collect::<String>())[0].files.len(), 39);
}

#[test]
fn what_normalising_took_out_counts_as_one_name() {
    let events = (0..40).map(|i| format!("open 1 /run/docker-{i:064x}.scope/x\n"));
    let file = docs(&events.collect::<String>())[0].files[0].clone();
    assert_eq!((&*file.path, file.pattern, file.distinct), ("/run/docker-*.scope/x", true, 0));
}

#[test]
fn a_normalised_name_and_a_learned_pattern_of_the_same_text_are_one_node() {
    let normalised = "open 1 /d/0123456789abcdef0123456789abcdef\n";
    let learned = each(0..17, "open 1 /d/f#");
    for events in [format!("{normalised}{learned}"), format!("{learned}{normalised}")] {
        let files = docs(&events)[0].files.clone();
        assert_eq!(files.iter().map(|f| &*f.path).collect::<Vec<_>>(), ["/d/*"]);
    }
}

/// A few names of few shapes in few directories, as events of few programs.
fn lines() -> impl Strategy<Value = Vec<String>> {
    let name = prop_oneof!["[a-b][0-9]", "[a-b]", "/proc/[1-2]", "x-[0-9]{1,2}\\.t"];
    let path = prop::collection::vec(name, 1..4).prop_map(|names| format!("/{}", names.join("/")));
    let line = (1..4_u32, 0..6, path, 0..5_u8, 0..5_u8).prop_map(|(pid, what, path, a, b)| match what {
        0 => format!("exec {pid}0<-{pid} {path}"),
        1 => format!("open {pid}0 {path}"),
        2 => format!("connect {pid} 10.0.{a}.{b} 80 tcp"),
        3 => format!("dns {pid} {} A", path.trim_start_matches('/').replace('/', ".")),
        4 => format!("connect {pid} unix {path}"),
        _ => format!("open {pid} {path}"),
    });
    prop::collection::vec(line, 0..60)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, ..ProptestConfig::default() })]

    /// Which nodes there are depends on the set of names, not on their order nor on how they were split and merged.
    #[test]
    fn generalising_is_confluent(lines in lines(), seed: u64, split in 0_usize..60) {
        let rules = Rules { path_fanout: 3, peer_fanout: 3, ..Rules::default() };
        let interner = Interner::new();
        // The programs run before all else, so that which process does what is the same in any order.
        let roots = "1s exec 1<-0 /r\n1s exec 2<-0 /s\n1s exec 3<-0 /t\n";
        // What children do depends on whether their exec came before: order is free among the rest.
        let (execs, others): (Vec<_>, Vec<_>) = lines.into_iter().map(|l| format!("1s {l}")).partition(|l| l.contains("exec"));
        let shuffled = |list: &[String]| {
            let mut list = list.to_vec();
            let mut state = seed | 1;
            for i in (1..list.len()).rev() {
                state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
                list.swap(i, (state >> 33) as usize % (i + 1));
            }
            list
        };
        // One exec a child, so that none is a chain.
        let execs: Vec<String> = execs.iter().enumerate().map(|(i, l)| l.replacen("0<-", &format!("{:03}<-", i + 100), 1)).collect();
        let others: Vec<String> = others.iter().map(|l| l.replace("open 10 ", "open 1 ").replace("open 20 ", "open 2 ").replace("open 30 ", "open 3 ")).collect();
        let all = [execs, others].concat();
        let tree = |list: &[String]| get_or_insert_tagged(&format!("{roots}{}", list.join("\n")), &rules, "1", &interner).0;

        let one = tree(&all);
        let other = tree(&shuffled(&all));
        prop_assert_eq!(picture_of(one.tree()), picture_of(other.tree()));
        prop_assert_eq!(one.tree().structural_hash(), other.tree().structural_hash());

        let (left, right) = all.split_at(split.min(all.len()));
        let (left, right) = (tree(left), tree(right));
        for (a, b) in [(&left, &right), (&right, &left)] {
            let mut merged = a.tree().clone();
            merged.merge(b.tree()).unwrap();
            prop_assert_eq!(picture_of(&merged), picture_of(one.tree()));
            prop_assert_eq!(merged.structural_hash(), one.tree().structural_hash());
            prop_assert_eq!(merged.stats(), merged.recount());
            merged.merge(one.tree()).unwrap();
            prop_assert_eq!(merged.structural_hash(), one.tree().structural_hash());
        }
    }
}

#[test]
fn the_rules_that_are_in_force_are_those_of_the_tree() {
    let rules = Rules { peer_fanout: 1, ..Rules::default() };
    check_with(
        &rules,
        "exec 1<-0 /bin/app\nconnect 1 10.0.0.1 80 tcp\nconnect 1 10.0.0.2 80 tcp",
        "
        /bin/app
          - connect inet tcp 10.0.0.0/24 80
        ",
    );
}

#[test]
fn patterns_below_patterns_cost_no_more_than_their_names() {
    // Each of seventeen paths has a name of its own on every level: each level is a pattern below a pattern. When every
    // pattern moved all that was below it, a path of 128 names took ten seconds, and one of a thousand hours.
    let tag = Interner::new().intern("1").unwrap();
    let mut tree = ActivityTree::new(Arc::default(), &tag);
    let started = Instant::now();
    for name in 0..17 {
        let path = format!("/{name}").repeat(600);
        let body = Body::Open(Open::new(path.as_bytes(), 0, 0));
        tree.insert(&EventRef::new(1, b"c", 1, body));
    }
    assert!(started.elapsed().as_secs() < 60, "{:?}", started.elapsed());
    assert_eq!(picture_of(tree.tree()), format!("<unknown>\n  - r {}\n", "/*".repeat(600)));
    assert_eq!((tree.stats(), tree.tree().heap_bytes()), (tree.tree().recount(), tree.tree().recount_bytes()));
}

/// Tools with digits in their names, and then another program that somebody put beside them.
#[test]
fn programs_of_an_image_are_no_pattern() {
    for dir in ["/usr/bin", "/bin", "/usr/local/lib/x", "/opt/app/bin", "/lib64"] {
        let run = |names: std::ops::Range<u32>| each(names, &format!("fork 2#<-1\nexec 2#<-1 {dir}/tool#"));
        let learned = docs(&("exec 1<-0 /bin/sh\n".to_owned() + &run(10..60)));
        assert_eq!(learned.iter().filter(|program| program.path.contains("/tool")).count(), 50, "{dir}");
    }
    let built = docs(&("exec 1<-0 /bin/sh\n".to_owned() + &each(10..60, "fork 2#<-1\nexec 2#<-1 /tmp/build/t#")));
    assert_eq!(built.iter().filter(|program| program.path.starts_with("/tmp")).count(), 1);
}
