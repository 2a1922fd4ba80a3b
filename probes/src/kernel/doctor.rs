//! Whether this host can tell events, and if not, why: each thing that is needed, looked at or tried for real.
//!
//! Not here: container runtimes, which others look for.

use std::fs;
use std::path::Path;

use super::capabilities::{self, Wants};
use super::hooks;
use super::load::{self, AttachError};
use super::options::Options;
use super::table::{HOOKS, Hook};
use crate::check::Check;

/// Looks at everything, with these options, for what is wanted. Programs are loaded and attached, one after the other,
/// and detached again.
pub fn checks(options: &Options, wants: Wants) -> Vec<Check> {
    let mut checks = vec![kernel(), btf(options), lockdown(), pid_namespace()];
    for (need, met) in capabilities::needs(wants) {
        let found = if met { Ok("there".to_string()) } else { Err(format!("missing: for {}", need.purpose)) };
        let without = need.without.map(|variable| format!("; or do without, by {variable}")).unwrap_or_default();
        let remedy = format!("run as root, or give the binary {} (setcap){without}", need.name);
        checks.push(Check::new(need.name, true, found, &remedy));
    }
    checks.push(cgroups());
    checks.push(memory(options));
    // What fails for want of a capability has its line already.
    if capabilities::missing(false).is_none() {
        try_hooks(options, &mut checks);
    }
    checks
}

fn kernel() -> Check {
    let release = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let release = release.trim();
    let mut numbers = release.split(|c: char| !c.is_ascii_digit()).map(|n| n.parse::<u32>().unwrap_or(0));
    let version = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
    let found = if version >= (5, 17) { Ok(release.into()) } else { Err(release.to_string()) };
    Check::new("kernel", true, found, "use Linux 5.17 or newer")
}

fn btf(options: &Options) -> Check {
    let found = load::types(options);
    let remedy = match &found {
        Err(AttachError::Memory { .. }) => "raise the limit of memory",
        _ => "use a kernel built with CONFIG_DEBUG_INFO_BTF",
    };
    let found = found.map(|_| "/sys/kernel/btf/vmlinux".to_string()).map_err(|e| load::one_line(&e));
    Check::new("btf", true, found, remedy)
}

/// In confidentiality mode no program may read the kernel's memory.
fn lockdown() -> Check {
    let modes = fs::read_to_string("/sys/kernel/security/lockdown").unwrap_or_default();
    let mode = modes.split('[').nth(1).and_then(|m| m.split(']').next()).unwrap_or("not reported");
    let found = if mode == "confidentiality" { Err(mode.into()) } else { Ok(mode.to_string()) };
    Check::new("lockdown", true, found, "boot with lockdown=integrity, or without")
}

fn pid_namespace() -> Check {
    let found = capabilities::initial_pid_namespace();
    let found = found.map(|()| "the initial one".to_string()).map_err(|own| format!("a nested one ({own})"));
    Check::new("pid_namespace", true, found, "run Grove on the host, or in a container with the host's pid namespace")
}

fn cgroups() -> Check {
    let root = hooks::cgroup_root().map(|p| p.display().to_string());
    let v1 = Path::new("/sys/fs/cgroup/unified").exists() || Path::new("/sys/fs/cgroup/memory").exists();
    let found = match root {
        Some(root) if v1 => Ok(format!("hybrid, v2 at {root}")),
        Some(root) => Ok(format!("v2 at {root}")),
        None => Err("v1 only: containers cannot be told apart".to_string()),
    };
    Check::new("cgroups", true, found, "mount cgroup2 (boot with systemd.unified_cgroup_hierarchy=1)")
}

fn memory(options: &Options) -> Check {
    let ring = u64::from(options.ring_size());
    let fixed = load::fixed_map_bytes();
    let need = ring + fixed;
    let available = fs::read_to_string("/proc/meminfo")
        .ok()
        .and_then(|text| {
            let line = text.lines().find(|l| l.starts_with("MemAvailable:"))?.to_string();
            line.split_whitespace().nth(1)?.parse::<u64>().ok()
        })
        .map_or(u64::MAX, |kib| kib * 1024);
    let detail = format!("ring {} KiB, maps up to {} KiB of the kernel's memory", ring >> 10, fixed >> 10);
    let found =
        if need < available / 4 { Ok(detail) } else { Err(format!("{detail}: over a quarter of what is free")) };
    Check::new("memory", false, found, "make the ring smaller")
}

fn try_hooks(options: &Options, checks: &mut Vec<Check>) {
    let loaded = load::load(options);
    let refusal = loaded.as_ref().err().map(ToString::to_string);
    checks.push(Check::new(
        "maps",
        true,
        refusal.clone().map_or(Ok("created".into()), Err),
        "see CAP_BPF; a memory limit of the cgroup may be too low too",
    ));
    let Ok(mut loaded) = loaded else {
        // One cause is one line.
        let hooks = format!("{} not tried, as the maps could not be created", HOOKS.len());
        checks.push(Check::new("hooks", true, Err(hooks), "see maps"));
        return;
    };
    let untried = |hook: &&Hook| hook.is_egress() && capabilities::missing(true).is_some();
    for hook in HOOKS.iter().filter(|hook| !untried(hook)) {
        let found =
            hook.attach(&mut loaded.bpf, &loaded.btf).map(|()| "attached".to_string()).map_err(|e| hook.why(&e));
        let required = hook.required && hook.wanted(options.classes);
        checks.push(Check::new(format!("hook {}", hook.name), required, found, hook.remedy()));
    }
}
