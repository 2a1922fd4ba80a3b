//! The settings of a live observation, each a `GROVE_*` variable, in a table of the same make as the engine's.
//!
//! Not here: what a setting does; that is where its field is used.

use std::time::Duration;

use grove::config::table::{Choice, bytes, count, span};

use crate::kernel::Failures;

const HOUR: Duration = Duration::from_secs(60 * 60);

grove::settings! {
    /// Every setting of a live observation, under its variable's name without `GROVE_`, in lower case.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub struct Config;

    /// Memory of the kernel's ring of events; rounded up to a power of two
    ring_bytes: usize = "GROVE_RING_BYTES", bytes(64 << 10, 1 << 30), |_| 8 << 20;

    /// How often the ring is emptied
    drain_interval: Duration = "GROVE_DRAIN_INTERVAL", span(Duration::from_millis(1), Duration::from_secs(1)),
        |_| Duration::from_millis(10);

    /// How full the ring may get before repeatable events are shed, in percent of it
    shed_percent: usize = "GROVE_SHED_PERCENT", count(10, 100, "percent"), |_| 75;

    /// How long the kernel leaves out what the same program has just done; 0 leaves out nothing
    dedup_window: Duration = "GROVE_DEDUP_WINDOW", span(Duration::ZERO, HOUR), |_| Duration::from_secs(5);

    /// Whether opened files, and those mapped to be executed, are observed
    probe_open: bool = "GROVE_PROBE_OPEN", (), |_| true;

    /// Whether changes of files are observed: names that come to be or go, permissions, owners, sizes
    probe_change: bool = "GROVE_PROBE_CHANGE", (), |_| true;

    /// Whether mounted file systems are observed
    probe_mount: bool = "GROVE_PROBE_MOUNT", (), |_| true;

    /// Whether sockets are observed: connected and bound ones, and who was let in
    probe_socket: bool = "GROVE_PROBE_SOCKET", (), |_| true;

    /// Whether DNS questions are observed
    probe_dns: bool = "GROVE_PROBE_DNS", (), |_| true;

    /// Whether it is observed how much goes over TCP connections, if sockets are
    probe_flow: bool = "GROVE_PROBE_FLOW", (), |_| true;

    /// Whether requests to cloud metadata services are observed
    probe_imds: bool = "GROVE_PROBE_IMDS", (), |_| true;

    /// Whether system calls are observed
    probe_syscalls: bool = "GROVE_PROBE_SYSCALLS", (), |_| true;

    /// Whether uses of capabilities are observed
    probe_capability: bool = "GROVE_PROBE_CAPABILITY", (), |_| true;

    /// Which failed attempts leave the kernel: those that were refused, all, or none
    probe_failed: Failures = "GROVE_PROBE_FAILED", (), |_| Failures::Refused;

    /// How often the system calls of running processes, and what went over connections that go on, are told
    syscall_interval: Duration = "GROVE_SYSCALL_INTERVAL", span(Duration::from_millis(100), HOUR),
        |_| Duration::from_secs(5);

    /// Running processes looked at in /proc at the start
    snapshot_processes: usize = "GROVE_SNAPSHOT_PROCESSES", count(0, 1 << 22, "processes"), |_| 65_536;

    /// Processes looked at in /proc in a second
    snapshot_rate: usize = "GROVE_SNAPSHOT_RATE", count(1, 1_000_000, "processes"), |_| 20_000;

    /// Sockets of Docker, asked which image a container runs
    docker_sockets: Vec<String> = "GROVE_DOCKER_SOCKETS", (), |_| vec!["/run/docker.sock".to_owned()];

    /// Sockets of Podman's service
    podman_sockets: Vec<String> = "GROVE_PODMAN_SOCKETS", (), |_| vec!["/run/podman/podman.sock".to_owned()];

    /// Sockets of containerd
    containerd_sockets: Vec<String> = "GROVE_CONTAINERD_SOCKETS", (), |_| CONTAINERD.map(str::to_owned).to_vec();

    /// Sockets of the container runtimes of Kubernetes (CRI)
    cri_sockets: Vec<String> = "GROVE_CRI_SOCKETS", (),
        |_| CONTAINERD.into_iter().chain(["/run/crio/crio.sock"]).map(str::to_owned).collect();

    /// Storage of Podman and CRI-O, which tells where no service runs
    container_storage: Vec<String> = "GROVE_CONTAINER_STORAGE", (), |_| vec!["/var/lib/containers/storage".to_owned()];
}

/// containerd's own socket, and where distributions of Kubernetes have put it.
const CONTAINERD: [&str; 3] = [
    "/run/containerd/containerd.sock",
    "/run/k3s/containerd/containerd.sock",
    "/var/snap/microk8s/common/run/containerd.sock",
];

impl Choice for Failures {
    const ALL: &'static [(Self, &'static str)] = &[
        (Self::Refused, "refused"),
        (Self::All, "all"),
        (Self::None, "none"),
        // As it was said before there was a choice.
        (Self::All, "true"),
        (Self::None, "false"),
    ];
}

#[cfg(test)]
mod tests {
    use super::*;
    use grove::config::Host;
    use grove::config::table::{Settings, Vars};

    #[test]
    fn every_variable_reaches_its_field() {
        let mut vars = Vars::new([
            ("GROVE_RING_BYTES", "256Ki"),
            ("GROVE_DRAIN_INTERVAL", "20ms"),
            ("GROVE_SHED_PERCENT", "60"),
            ("GROVE_DEDUP_WINDOW", "0s"),
            ("GROVE_PROBE_OPEN", "no"),
            ("GROVE_PROBE_CHANGE", "no"),
            ("GROVE_PROBE_MOUNT", "no"),
            ("GROVE_PROBE_SOCKET", "no"),
            ("GROVE_PROBE_DNS", "no"),
            ("GROVE_PROBE_FLOW", "no"),
            ("GROVE_PROBE_IMDS", "no"),
            ("GROVE_PROBE_SYSCALLS", "no"),
            ("GROVE_PROBE_CAPABILITY", "no"),
            ("GROVE_PROBE_FAILED", "all"),
            ("GROVE_SYSCALL_INTERVAL", "1s"),
            ("GROVE_SNAPSHOT_PROCESSES", "9"),
            ("GROVE_SNAPSHOT_RATE", "8"),
            ("GROVE_DOCKER_SOCKETS", "/d"),
            ("GROVE_PODMAN_SOCKETS", "/p"),
            ("GROVE_CONTAINERD_SOCKETS", "/c"),
            ("GROVE_CRI_SOCKETS", "/k:/l"),
            ("GROVE_CONTAINER_STORAGE", "/s"),
        ])
        .unwrap();
        let config: Config = vars.read().unwrap();
        vars.finish().unwrap();
        let expected = Config {
            ring_bytes: 256 << 10,
            drain_interval: Duration::from_millis(20),
            shed_percent: 60,
            dedup_window: Duration::ZERO,
            probe_open: false,
            probe_change: false,
            probe_mount: false,
            probe_socket: false,
            probe_dns: false,
            probe_flow: false,
            probe_imds: false,
            probe_syscalls: false,
            probe_capability: false,
            probe_failed: Failures::All,
            syscall_interval: Duration::from_secs(1),
            snapshot_processes: 9,
            snapshot_rate: 8,
            docker_sockets: vec!["/d".to_owned()],
            podman_sockets: vec!["/p".to_owned()],
            containerd_sockets: vec!["/c".to_owned()],
            cri_sockets: vec!["/k".to_owned(), "/l".to_owned()],
            container_storage: vec!["/s".to_owned()],
            origins: config.origins.clone(),
        };
        assert_eq!(config, expected);
    }

    #[test]
    fn defaults_are_allowed_on_any_host() {
        for cores in [1, 256] {
            for memory_bytes in [None, Some(0), Some(u64::MAX)] {
                Config::for_host(Host { cores, memory_bytes }).validate().unwrap();
            }
        }
    }
}
