//! The flags of mount(2): bits and names.

use std::borrow::Cow;

/// Names by bit, as of Linux 6.18; empty where a bit has none. Bits that the kernel keeps for itself are named as well:
/// a source may tell of them.
const NAMES: [&str; 32] = [
    "MS_RDONLY",
    "MS_NOSUID",
    "MS_NODEV",
    "MS_NOEXEC",
    "MS_SYNCHRONOUS",
    "MS_REMOUNT",
    "MS_MANDLOCK",
    "MS_DIRSYNC",
    "MS_NOSYMFOLLOW",
    "",
    "MS_NOATIME",
    "MS_NODIRATIME",
    "MS_BIND",
    "MS_MOVE",
    "MS_REC",
    "MS_SILENT",
    "MS_POSIXACL",
    "MS_UNBINDABLE",
    "MS_PRIVATE",
    "MS_SLAVE",
    "MS_SHARED",
    "MS_RELATIME",
    "MS_KERNMOUNT",
    "MS_I_VERSION",
    "MS_STRICTATIME",
    "MS_LAZYTIME",
    "MS_SUBMOUNT",
    "MS_NOREMOTELOCK",
    "MS_NOSEC",
    "MS_BORN",
    "MS_ACTIVE",
    "MS_NOUSER",
];

/// The name of the flag in bit `bit`; one that has none is written `MS_<bit>`.
pub fn mount_flag_name(bit: u32) -> Cow<'static, str> {
    match NAMES.get(bit as usize) {
        Some(name) if !name.is_empty() => Cow::Borrowed(name),
        _ => Cow::Owned(format!("MS_{bit}")),
    }
}

/// The bit of a flag given by name or as `MS_<bit>`, bit < 32.
pub fn mount_flag_bit(name: &str) -> Option<u32> {
    if name.is_empty() {
        return None;
    }
    if let Some(bit) = NAMES.iter().position(|known| *known == name) {
        return u32::try_from(bit).ok();
    }
    name.strip_prefix("MS_")?.parse().ok().filter(|bit| *bit < 32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_bit_has_one_name() {
        for bit in 0..32 {
            assert_eq!(mount_flag_bit(&mount_flag_name(bit)), Some(bit));
        }
        for name in ["", "MS_", "MS_32", "MS_NEW", "nosuid"] {
            assert_eq!(mount_flag_bit(name), None, "{name}");
        }
    }
}
