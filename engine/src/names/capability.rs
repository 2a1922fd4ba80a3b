//! Capabilities: names and numbers.

use std::borrow::Cow;

/// The largest number a capability may have: the kernel keeps them in sets of 64 bits.
pub const CAPABILITY_MAX: u8 = 63;

/// Names by number, as of Linux 5.9; none was added since.
const NAMES: [&str; 41] = [
    "CAP_CHOWN",
    "CAP_DAC_OVERRIDE",
    "CAP_DAC_READ_SEARCH",
    "CAP_FOWNER",
    "CAP_FSETID",
    "CAP_KILL",
    "CAP_SETGID",
    "CAP_SETUID",
    "CAP_SETPCAP",
    "CAP_LINUX_IMMUTABLE",
    "CAP_NET_BIND_SERVICE",
    "CAP_NET_BROADCAST",
    "CAP_NET_ADMIN",
    "CAP_NET_RAW",
    "CAP_IPC_LOCK",
    "CAP_IPC_OWNER",
    "CAP_SYS_MODULE",
    "CAP_SYS_RAWIO",
    "CAP_SYS_CHROOT",
    "CAP_SYS_PTRACE",
    "CAP_SYS_PACCT",
    "CAP_SYS_ADMIN",
    "CAP_SYS_BOOT",
    "CAP_SYS_NICE",
    "CAP_SYS_RESOURCE",
    "CAP_SYS_TIME",
    "CAP_SYS_TTY_CONFIG",
    "CAP_MKNOD",
    "CAP_LEASE",
    "CAP_AUDIT_WRITE",
    "CAP_AUDIT_CONTROL",
    "CAP_SETFCAP",
    "CAP_MAC_OVERRIDE",
    "CAP_MAC_ADMIN",
    "CAP_SYSLOG",
    "CAP_WAKE_ALARM",
    "CAP_BLOCK_SUSPEND",
    "CAP_AUDIT_READ",
    "CAP_PERFMON",
    "CAP_BPF",
    "CAP_CHECKPOINT_RESTORE",
];

/// The name of capability `cap`; one that has none yet is written `CAP_<n>`.
pub fn capability_name(cap: u8) -> Cow<'static, str> {
    match NAMES.get(usize::from(cap)) {
        Some(name) => Cow::Borrowed(name),
        None => Cow::Owned(format!("CAP_{cap}")),
    }
}

/// The number of a capability given by name or as `CAP_<n>`, n ≤ [`CAPABILITY_MAX`]. Case does not matter.
pub fn capability_number(name: &str) -> Option<u8> {
    if let Some(i) = NAMES.iter().position(|n| n.eq_ignore_ascii_case(name)) {
        return u8::try_from(i).ok();
    }
    let digits = name.strip_prefix("CAP_")?;
    let plain = digits.len() <= 2 && digits.bytes().all(|b| b.is_ascii_digit());
    digits.parse().ok().filter(|n| plain && *n <= CAPABILITY_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_numbers() {
        for (name, number) in [
            ("CAP_CHOWN", Some(0)),
            ("CAP_NET_BIND_SERVICE", Some(10)),
            ("cap_sys_admin", Some(21)),
            ("CAP_CHECKPOINT_RESTORE", Some(40)),
            ("CAP_41", Some(41)),
            ("CAP_63", Some(63)),
            ("CAP_64", None),
            ("CAP_+1", None),
            ("CAP_", None),
            ("CHOWN", None),
            ("", None),
        ] {
            assert_eq!(capability_number(name), number, "{name}");
        }
        for cap in 0..=CAPABILITY_MAX {
            assert_eq!(capability_number(&capability_name(cap)), Some(cap));
        }
    }
}
