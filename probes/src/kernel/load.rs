//! Getting the object into the kernel, and saying in one line what is missing if that fails.

use std::{fs, io};

use aya::maps::{HashMap, MapData, MapError, PerCpuHashMap, PerCpuValues};
use aya::{Btf, Ebpf, EbpfError, EbpfLoader, VerifierLogLevel};

use grove::config::Host;

use super::capabilities;
use super::hooks::HookError;
use super::options::{Failures, Options, Scope};
use super::table::{Class, Hook};

/// The programs, as `build.rs` found or built them.
static OBJECT: &[u8] = aya::include_bytes_aligned!(concat!(env!("OUT_DIR"), "/grove.bpf.o"));

/// Distance between two classes' counters, in `src/bpf/record.h`.
pub(super) const CAUSES: usize = 8;
/// Number of counters for each cgroup.
pub(super) const COUNTERS: usize = Class::ALL.len() * CAUSES;

/// Why events cannot be had from the kernel.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AttachError {
    /// The kernel does not describe its types.
    #[error(
        "the kernel has no BTF (/sys/kernel/btf/vmlinux): {reason}; \
         use a kernel built with CONFIG_DEBUG_INFO_BTF, as current distributions' are"
    )]
    NoBtf {
        /// The system's or the verifier's error.
        reason: String,
    },
    /// A capability is missing, or the kernel is locked down.
    #[error("{what} was refused ({reason}): {missing}; run as root, or with CAP_BPF, CAP_PERFMON and CAP_NET_ADMIN")]
    Refused {
        /// The step that failed.
        what: String,
        /// The kernel's answer.
        reason: String,
        /// What seems to be missing.
        missing: String,
    },
    /// A hook without which less would be seen than was asked for.
    #[error("hook {hook} cannot be attached ({reason}); {remedy}")]
    Hook {
        /// The hook's name, as the kernel spells it.
        hook: &'static str,
        /// The kernel's answer.
        reason: String,
        /// What to do about it.
        remedy: String,
    },
    /// There is less memory than loading takes, and the system would kill the process on the way.
    #[error(
        "loading the kernel programs takes about {} MiB of memory, and there are {} MiB: raise the limit \
         (`MemoryMax=`, `--memory`) to at least {} MiB, or do without eBPF (`--source proc`)",
        needed >> 20, limit >> 20, needed >> 20
    )]
    Memory {
        /// Bytes that it takes, about.
        needed: u64,
        /// Bytes that this process may take.
        limit: u64,
    },
    /// The object could not be loaded for another reason.
    #[error("the kernel programs cannot be loaded: {reason}")]
    Load {
        /// The error in one line.
        reason: String,
    },
}

/// The object in the kernel, its programs not yet attached.
pub(super) struct Loaded {
    pub(super) bpf: Ebpf,
    pub(super) btf: Btf,
}

/// The kernel's description of its types. Made into what programs are fitted with, it takes six times its size for as long
/// as that lasts, with the process itself and what the verifier works on: more than all that is held later.
const BTF: &str = "/sys/kernel/btf/vmlinux";
const BTF_FACTOR: u64 = 6;

/// What the programs and the maps take of the kernel's memory when they are loaded, beside the ring and what each
/// processor has; as measured on Linux 6.18.
const PROGRAMS_BYTES: u64 = 8 << 20;

/// Memory that loading takes for a description of this size, the process itself included.
fn memory_needed(options: &Options, btf_bytes: u64) -> u64 {
    let cpus = aya::util::nr_cpus().unwrap_or(1) as u64;
    BTF_FACTOR * btf_bytes + PROGRAMS_BYTES + cpus * 2 * SCRATCH + u64::from(options.ring_size())
}

/// The types of this kernel.
///
/// # Errors
/// There are none, or what loading takes is more than there is: the kernel would not refuse, but kill.
pub(super) fn types(options: &Options) -> Result<Btf, AttachError> {
    let btf_bytes = fs::metadata(BTF).map_or(0, |file| file.len());
    enough(memory_needed(options, btf_bytes), Host::detect().memory_bytes)?;
    Btf::from_sys_fs().map_err(|e| AttachError::NoBtf { reason: e.to_string() })
}

fn enough(needed: u64, limit: Option<u64>) -> Result<(), AttachError> {
    match limit {
        Some(limit) if limit < needed => Err(AttachError::Memory { needed, limit }),
        _ => Ok(()),
    }
}

pub(super) fn load(options: &Options) -> Result<Loaded, AttachError> {
    let btf = types(options)?;
    let own_pid = std::process::id();
    let scope: u32 = match options.scope {
        Scope::Everything => 0,
        Scope::Cgroups => 1,
        Scope::Descendants(_) => 2,
    };
    // `enum failures` of numbers.h.
    let failed: u32 = match options.failed {
        Failures::None => 0,
        Failures::All => 1,
        Failures::Refused => 2,
    };
    let arguments = u32::from(options.arguments);
    let classes = options.classes.bits();
    let window_ns = options.dedup.map_or(0, |w| u64::try_from(w.as_nanos()).unwrap_or(u64::MAX));
    let ring = u64::from(options.ring_size());
    let shed = ring * u64::from(options.shed_percent.min(100)) / 100;
    let shed_all = shed + (ring - shed) / 2;
    let secret = secret();
    let cpus = aya::util::nr_cpus().map_err(|(file, e)| AttachError::Load { reason: format!("{file}: {e}") })?;
    let cpus = u32::try_from(cpus).unwrap_or(u32::MAX);
    let bpf = EbpfLoader::new()
        .btf(Some(&btf))
        .allow_unsupported_maps() // task storage, which only the programs use
        // The least with which a refusal has its own error and says why.
        .verifier_log_level(VerifierLogLevel::STATS)
        .override_global("self", &own_pid, true)
        .override_global("scope", &scope, true)
        .override_global("failed", &failed, true)
        .override_global("arguments", &arguments, true)
        .override_global("classes", &classes, true)
        .override_global("window_ns", &window_ns, true)
        .override_global("shed_bytes", &shed, true)
        .override_global("shed_all_bytes", &shed_all, true)
        .override_global("secret", &secret, true)
        .map_max_entries("ring", options.ring_size())
        .map_max_entries("scratches", cpus)
        .map_max_entries("packets", cpus)
        .map_max_entries("requests", cpus)
        .load(OBJECT)
        .map_err(load_error)?;
    Ok(Loaded { bpf, btf })
}

/// Two numbers that a workload cannot know: the standard library's hasher keys are random.
fn secret() -> [u64; 2] {
    use std::hash::{BuildHasher, RandomState};
    [RandomState::new().hash_one(1u8), RandomState::new().hash_one(2u8)]
}

/// Key 0 exists from the start, so that counting never fails.
pub(super) fn prepare_losses(lost: &mut PerCpuHashMap<MapData, u64, [u64; COUNTERS]>) -> Result<(), AttachError> {
    let cpus = aya::util::nr_cpus().map_err(|(file, e)| AttachError::Load { reason: format!("{file}: {e}") })?;
    let zero = PerCpuValues::try_from(vec![[0u64; COUNTERS]; cpus])
        .map_err(|e| AttachError::Load { reason: e.to_string() })?;
    lost.insert(0u64, zero, 0).map_err(map_error)
}

pub(super) fn map_error(e: MapError) -> AttachError {
    AttachError::Load { reason: one_line(&e) }
}

/// Takes a hash map out of the object.
pub(super) fn hash<K: aya::Pod, V: aya::Pod>(
    bpf: &mut Ebpf,
    name: &str,
) -> Result<HashMap<MapData, K, V>, AttachError> {
    let map = bpf.take_map(name).ok_or_else(|| absent(name))?;
    HashMap::try_from(map).map_err(map_error)
}

pub(super) fn absent(name: &str) -> AttachError {
    AttachError::Load { reason: format!("the object has no map named {name}") }
}

/// The kernel said no: for want of a capability, or for another reason that it keeps to itself.
fn refused(what: &str, reason: &io::Error) -> AttachError {
    let missing = match capabilities::missing(false) {
        Some(names) => format!("{names} missing"),
        None => "although the capabilities are there: a user namespace, kernel lockdown, seccomp or a security module"
            .into(),
    };
    AttachError::Refused { what: what.into(), reason: reason.to_string(), missing }
}

/// Why a hook that is needed is not there.
pub(super) fn hook_error(hook: &Hook, e: &HookError) -> AttachError {
    match e.refusal() {
        Some(reason) => refused(&format!("loading the program for {}", hook.name), reason),
        None => AttachError::Hook { hook: hook.name, reason: e.to_string(), remedy: hook.remedy() },
    }
}

/// What the programs of one processor work on.
const SCRATCH: u64 = 71 << 10;

/// What the maps may take beside the ring, at most: the sizes in `src/bpf/maps.h` and of the maps beside the programs that
/// use them. An entry of a table takes some fifty bytes beside its key and its value, and eight for finding it.
const TABLES: u64 = {
    const TOLD: u64 = 65_536 * 32;
    const CGROUPS_AND_FOLLOWED: u64 = 2 * 65_536 * 88;
    const CONNECTIONS: u64 = 32_768 * 140;
    const DIRECTIONS: u64 = 16_384 * 110;
    const REQUESTS: u64 = 4096 * 630 + 4096 * 100;
    const LOST: u64 = 4096 * 100;
    const MOVES_AND_MOUNTS: u64 = 4096 * 8 + 1024 * 88;
    TOLD + CGROUPS_AND_FOLLOWED + CONNECTIONS + DIRECTIONS + REQUESTS + LOST + MOVES_AND_MOUNTS
};

/// The same of each processor.
const TABLES_PER_CPU: u64 = SCRATCH + 4096 * (COUNTERS as u64 * 8);

/// Bytes that the maps may take beside the ring, at most, on this host.
pub(super) fn fixed_map_bytes() -> u64 {
    TABLES + aya::util::nr_cpus().unwrap_or(1) as u64 * TABLES_PER_CPU
}

fn load_error(e: EbpfError) -> AttachError {
    if let EbpfError::MapError(MapError::CreateError { io_error, .. }) = &e
        && io_error.kind() == io::ErrorKind::PermissionDenied
    {
        return refused("creating a BPF map", io_error);
    }
    AttachError::Load { reason: one_line(&e) }
}

/// An error and its causes in one line.
pub(super) fn one_line(e: &dyn std::error::Error) -> String {
    let mut text = e.to_string();
    let mut source = e.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text = format!("{text}: {cause_text}");
        }
        source = cause.source();
    }
    text.replace('\n', " ")
}

#[cfg(test)]
mod tests;
