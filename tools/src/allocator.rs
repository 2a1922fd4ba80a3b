//! The allocator, and what it keeps of memory that was given back to it.
//!
//! By default it keeps that for a second, in case it is wanted again: quicker where there is much, and deadly where
//! there is little. Under a limit of 64 MiB, half of what was resident was such memory. And of what watches a host for
//! months, half of what was resident was such memory after the first few thousand containers.
//!
//! Not here: what the engine holds, and what it lets go of (`GROVE_MEMORY_MAX`).

#![allow(unsafe_code)]

use std::ffi::{c_int, c_long};

use grove::config::Config;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// With less memory than this for the process, none is kept back; nor with a sixth of it for all that is held.
const SMALL: usize = 1536 << 20;

/// `mi_option_purge_delay` of mimalloc 3: milliseconds until what was given back goes to the system.
const PURGE_DELAY: c_int = 15;

unsafe extern "C" {
    fn mi_option_set(option: c_int, value: c_long);
    #[cfg(test)]
    fn mi_option_get(option: c_int) -> c_long;
}

/// Where there is little memory, and beside the host's own work (`live`), nothing is kept that was given back, and there
/// are no huge pages: they may be had a few kilobytes at a time, and take two megabytes each. To be called before there
/// are threads.
pub(crate) fn configure(config: &Config, live: bool) {
    if !live && config.resident_max >= SMALL && config.memory_max >= SMALL / 6 {
        return;
    }
    // Where it cannot be said, they stay.
    let _ = rustix::thread::disable_transparent_huge_pages(true);
    // SAFETY: declared as in `mimalloc.h`, of the library that is linked in as the allocator. It sets one of that
    // library's own numbers, by an index that it checks, and there is no other thread yet.
    unsafe { mi_option_set(PURGE_DELAY, 0) };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn with_little_memory_and_beside_a_host_s_own_work_what_is_given_back_is_not_kept() {
        // SAFETY: as above; it only reads.
        let delay = || unsafe { mi_option_get(PURGE_DELAY) };
        assert_eq!(delay(), 1000, "the default of this version: the number is the option's that is meant");
        let much = Config::default().with(|c| (c.memory_max, c.resident_max) = (SMALL / 6, SMALL));
        configure(&much, false);
        assert_eq!(delay(), 1000);
        let little = [much.clone().with(|c| c.resident_max = SMALL - 1), much.clone().with(|c| c.memory_max = 8 << 20)];
        for (config, live) in little.into_iter().map(|little| (little, false)).chain([(much, true)]) {
            // SAFETY: as above, in a process with one test that does so.
            unsafe { mi_option_set(PURGE_DELAY, 1000) };
            configure(&config, live);
            assert_eq!(delay(), 0);
        }
    }
}
