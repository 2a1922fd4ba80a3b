//! What the programs and their maps take of memory, held against what the kernel says of them.

use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

use aya::Pod;

use super::*;
use crate::kernel::table::HOOKS;

#[path = "../../../../engine/tests/common/skips.rs"]
mod skips;

#[test]
fn what_loading_takes_is_said_before_the_system_kills_for_it() {
    let options = Options::default();
    // As measured: 5.3 MiB of types and a ring of 8 MiB took 43.7 MiB on two processors, of which 19.5 MiB were the
    // kernel's. With a limit of 42 MiB it was just enough, with 40 MiB not.
    let needed = memory_needed(&options, 5_515_236);
    assert!((45 << 20..49 << 20).contains(&needed), "{needed}");
    assert!(enough(needed, None).is_ok() && enough(needed, Some(64 << 20)).is_ok());
    let said = enough(needed, Some(40 << 20)).map_err(|e| e.to_string());
    assert!(said.is_err_and(|said| said.contains("MiB of memory, and there are 40 MiB: raise the limit")));
}

/// The object in this kernel, the only one of this process; or the reason why the test is skipped.
fn loaded() -> Option<(MutexGuard<'static, ()>, Loaded)> {
    static ONE: Mutex<()> = Mutex::new(());
    let root = rustix::process::geteuid().is_root();
    let btf = Path::new(BTF).exists();
    if !(root && btf) {
        skips::skipped(&format!("this needs root ({root}) and kernel BTF ({btf})"));
        return None;
    }
    let alone = ONE.lock().unwrap_or_else(PoisonError::into_inner);
    Some((alone, load(&Options::default()).expect("the object in the kernel")))
}

/// A map of this process, as the kernel describes it.
#[derive(Debug)]
struct Held {
    id: u64,
    kind: u64,
    flags: u64,
    memory: u64,
}

const HASH: u64 = 1;
const HASH_PER_CPU: u64 = 5;
const RING: u64 = 27;
const NO_PREALLOC: u64 = 1;

fn maps_held() -> Vec<Held> {
    let mut held = Vec::new();
    for file in fs::read_dir("/proc/self/fdinfo").expect("a list of open files") {
        let info = fs::read_to_string(file.expect("a file").path()).unwrap_or_default();
        let field = |name: &str| {
            let value = info.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?.trim();
            value.strip_prefix("0x").map_or_else(|| value.parse().ok(), |hex| u64::from_str_radix(hex, 16).ok())
        };
        let (Some(id), Some(kind), Some(flags), Some(memory)) =
            (field("map_id"), field("map_type"), field("map_flags"), field("memlock"))
        else {
            continue;
        };
        held.push(Held { id, kind, flags, memory });
    }
    held.sort_by_key(|held| held.id);
    held.dedup_by_key(|held| held.id);
    held
}

/// Bytes of all maps but the ring.
fn bytes_held() -> u64 {
    maps_held().iter().filter(|held| held.kind != RING).map(|held| held.memory).sum()
}

/// Before 6.4, the kernel told what the keys and values of a map would take if it were full, without what it needs
/// itself.
fn kernel_tells_what_maps_take() -> bool {
    let release = fs::read_to_string("/proc/sys/kernel/osrelease").expect("this kernel's release");
    let mut numbers = release.split('.').map(|n| n.parse::<u32>().unwrap_or(0));
    (numbers.next(), numbers.next()) >= (Some(6), Some(4))
}

/// Puts in as many entries as the map takes, of keys of `K` bytes and values of `V`. What is returned holds them.
fn fill<const K: usize, const V: usize>(bpf: &mut Ebpf, name: &str, entries: u64) -> HashMap<MapData, [u8; K], [u8; V]>
where
    [u8; K]: Pod,
    [u8; V]: Pod,
{
    let mut map = hash::<[u8; K], [u8; V]>(bpf, name).expect(name);
    for n in 0..entries {
        let mut key = [0; K];
        key.iter_mut().zip(n.to_le_bytes()).for_each(|(to, byte)| *to = byte);
        put(name, n, || map.insert(key, [0; V], 0));
    }
    assert!(map.insert([0xff; K], [0; V], 0).is_err(), "{name} takes more than {entries} entries");
    map
}

/// Memory for entries that come faster than anybody's is made a little later.
fn put(name: &str, n: u64, mut insert: impl FnMut() -> Result<(), MapError>) {
    for _ in 0..1000 {
        match insert() {
            Err(MapError::SyscallError(e)) if e.io_error.raw_os_error() == Some(12) => {
                std::thread::sleep(std::time::Duration::from_millis(1));
            }
            done => return done.unwrap_or_else(|e| panic!("{name}, entry {n}: {e}")),
        }
    }
    panic!("{name}, entry {n}: no memory");
}

#[test]
fn the_maps_take_at_most_what_is_said_of_them_when_they_are_full() {
    let Some((_alone, Loaded { mut bpf, .. })) = loaded() else { return };
    let _cgroups = fill::<8, 4>(&mut bpf, "cgroups", 65_536);
    let _followed = fill::<4, 4>(&mut bpf, "followed", 65_536);
    let _connections = fill::<8, 56>(&mut bpf, "connections", 32_768);
    let _asked = fill::<8, 544>(&mut bpf, "uring_asked", 4096);
    let _accepts = fill::<16, 4>(&mut bpf, "uring_accepts", 4096);
    let lost = bpf.take_map("lost").expect("lost");
    let mut lost: PerCpuHashMap<MapData, u64, [u64; COUNTERS]> = PerCpuHashMap::try_from(lost).expect("lost");
    for n in 0..4096u64 {
        put("lost", n, || {
            let zero = vec![[0; COUNTERS]; aya::util::nr_cpus().expect("processors")];
            lost.insert(n, PerCpuValues::try_from(zero).expect("values"), 0)
        });
    }
    let held = maps_held();
    let grow = |held: &&Held| [HASH, HASH_PER_CPU].contains(&held.kind) && held.flags & NO_PREALLOC != 0;
    assert_eq!(held.iter().filter(grow).count(), 6, "a map that grows is not filled here: {held:#?}");
    let (bytes, said) = (bytes_held(), fixed_map_bytes());
    assert!(bytes <= said, "{bytes} bytes are held, {said} said: {held:#?}");
    if kernel_tells_what_maps_take() {
        assert!(said <= bytes + bytes / 5, "{bytes} bytes are held, {said} said: {held:#?}");
    }
}

#[test]
fn the_page_says_what_the_maps_take_at_most() {
    let page = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/tuning.md")).expect("the page");
    let words = page.split_whitespace().collect::<Vec<_>>().join(" ");
    let mib = |bytes: u64| bytes as f64 / f64::from(1 << 20);
    let said = format!(
        "The tables beside it take at most {:.1} MiB, and {:.1} MiB for each processor",
        mib(TABLES),
        mib(TABLES_PER_CPU)
    );
    assert!(words.contains(&said), "docs/tuning.md does not say: {said}");
}

#[test]
fn the_programs_take_at_most_what_is_said_before_they_are_loaded() {
    let Some((_alone, Loaded { mut bpf, btf })) = loaded() else { return };
    for hook in HOOKS {
        // Those that the kernel does not have take nothing.
        let _refused = hook.attach(&mut bpf, &btf);
    }
    let programs: u64 = bpf
        .programs()
        .filter_map(|(_, program)| program.info().ok())
        .map(|info| u64::from(info.memory_locked().unwrap_or(0)) + u64::from(info.size_jitted()))
        .sum();
    assert!(programs > 100_000, "{programs} bytes of programs");
    let cpus = aya::util::nr_cpus().expect("processors") as u64;
    let (taken, said) = (programs + bytes_held(), PROGRAMS_BYTES + cpus * 2 * SCRATCH);
    assert!(taken <= said, "{taken} bytes are taken, {said} said");
    if kernel_tells_what_maps_take() {
        // The rest is what the kernel needs while it looks at the programs, and does not tell.
        assert!(said <= 2 * taken, "{taken} bytes are taken, {said} said");
    }
}
