//! System calls: names and numbers on x86-64, and on aarch64 as far as a trace from there needs translating.
//!
//! Profiles spell a call with its x86-64 number whatever machine it was seen on, so that one image has one
//! profile. Not here: 32-bit calls (i386, arm) and x32, whose numbers traces do not carry.

use std::str::FromStr;
use std::sync::LazyLock;

/// x86-64 from 0 on.
const X86_64: &str = "\
    read write open close stat fstat lstat poll lseek mmap mprotect munmap brk rt_sigaction rt_sigprocmask \
    rt_sigreturn ioctl pread64 pwrite64 readv writev access pipe select sched_yield mremap msync mincore madvise \
    shmget shmat shmctl dup dup2 pause nanosleep getitimer alarm setitimer getpid sendfile socket connect accept \
    sendto recvfrom sendmsg recvmsg shutdown bind listen getsockname getpeername socketpair setsockopt \
    getsockopt clone fork vfork execve exit wait4 kill uname semget semop semctl shmdt msgget msgsnd msgrcv \
    msgctl fcntl flock fsync fdatasync truncate ftruncate getdents getcwd chdir fchdir rename mkdir rmdir creat \
    link unlink symlink readlink chmod fchmod chown fchown lchown umask gettimeofday getrlimit getrusage sysinfo \
    times ptrace getuid syslog getgid setuid setgid geteuid getegid setpgid getppid getpgrp setsid setreuid \
    setregid getgroups setgroups setresuid getresuid setresgid getresgid getpgid setfsuid setfsgid getsid capget \
    capset rt_sigpending rt_sigtimedwait rt_sigqueueinfo rt_sigsuspend sigaltstack utime mknod uselib \
    personality ustat statfs fstatfs sysfs getpriority setpriority sched_setparam sched_getparam \
    sched_setscheduler sched_getscheduler sched_get_priority_max sched_get_priority_min sched_rr_get_interval \
    mlock munlock mlockall munlockall vhangup modify_ldt pivot_root _sysctl prctl arch_prctl adjtimex setrlimit \
    chroot sync acct settimeofday mount umount2 swapon swapoff reboot sethostname setdomainname iopl ioperm \
    create_module init_module delete_module get_kernel_syms query_module quotactl nfsservctl getpmsg putpmsg \
    afs_syscall tuxcall security gettid readahead setxattr lsetxattr fsetxattr getxattr lgetxattr fgetxattr \
    listxattr llistxattr flistxattr removexattr lremovexattr fremovexattr tkill time futex sched_setaffinity \
    sched_getaffinity set_thread_area io_setup io_destroy io_getevents io_submit io_cancel get_thread_area \
    lookup_dcookie epoll_create epoll_ctl_old epoll_wait_old remap_file_pages getdents64 set_tid_address \
    restart_syscall semtimedop fadvise64 timer_create timer_settime timer_gettime timer_getoverrun timer_delete \
    clock_settime clock_gettime clock_getres clock_nanosleep exit_group epoll_wait epoll_ctl tgkill utimes \
    vserver mbind set_mempolicy get_mempolicy mq_open mq_unlink mq_timedsend mq_timedreceive mq_notify \
    mq_getsetattr kexec_load waitid add_key request_key keyctl ioprio_set ioprio_get inotify_init \
    inotify_add_watch inotify_rm_watch migrate_pages openat mkdirat mknodat fchownat futimesat newfstatat \
    unlinkat renameat linkat symlinkat readlinkat fchmodat faccessat pselect6 ppoll unshare set_robust_list \
    get_robust_list splice tee sync_file_range vmsplice move_pages utimensat epoll_pwait signalfd timerfd_create \
    eventfd fallocate timerfd_settime timerfd_gettime accept4 signalfd4 eventfd2 epoll_create1 dup3 pipe2 \
    inotify_init1 preadv pwritev rt_tgsigqueueinfo perf_event_open recvmmsg fanotify_init fanotify_mark \
    prlimit64 name_to_handle_at open_by_handle_at clock_adjtime syncfs sendmmsg setns getcpu process_vm_readv \
    process_vm_writev kcmp finit_module sched_setattr sched_getattr renameat2 seccomp getrandom memfd_create \
    kexec_file_load bpf execveat userfaultfd membarrier mlock2 copy_file_range preadv2 pwritev2 pkey_mprotect \
    pkey_alloc pkey_free statx io_pgetevents rseq uretprobe";

/// aarch64 from 0 on: the numbers of `asm-generic`; `-` where there is none.
const AARCH64: &str = "\
    io_setup io_destroy io_submit io_cancel io_getevents setxattr lsetxattr fsetxattr getxattr lgetxattr \
    fgetxattr listxattr llistxattr flistxattr removexattr lremovexattr fremovexattr getcwd lookup_dcookie \
    eventfd2 epoll_create1 epoll_ctl epoll_pwait dup dup3 fcntl inotify_init1 inotify_add_watch inotify_rm_watch \
    ioctl ioprio_set ioprio_get flock mknodat mkdirat unlinkat symlinkat linkat renameat umount2 mount \
    pivot_root nfsservctl statfs fstatfs truncate ftruncate fallocate faccessat chdir fchdir chroot fchmod \
    fchmodat fchownat fchown openat close vhangup pipe2 quotactl getdents64 lseek read write readv writev \
    pread64 pwrite64 preadv pwritev sendfile pselect6 ppoll signalfd4 vmsplice splice tee readlinkat newfstatat \
    fstat sync fsync fdatasync sync_file_range timerfd_create timerfd_settime timerfd_gettime utimensat acct \
    capget capset personality exit exit_group waitid set_tid_address unshare futex set_robust_list \
    get_robust_list nanosleep getitimer setitimer kexec_load init_module delete_module timer_create \
    timer_gettime timer_getoverrun timer_settime timer_delete clock_settime clock_gettime clock_getres \
    clock_nanosleep syslog ptrace sched_setparam sched_setscheduler sched_getscheduler sched_getparam \
    sched_setaffinity sched_getaffinity sched_yield sched_get_priority_max sched_get_priority_min \
    sched_rr_get_interval restart_syscall kill tkill tgkill sigaltstack rt_sigsuspend rt_sigaction \
    rt_sigprocmask rt_sigpending rt_sigtimedwait rt_sigqueueinfo rt_sigreturn setpriority getpriority reboot \
    setregid setgid setreuid setuid setresuid getresuid setresgid getresgid setfsuid setfsgid times setpgid \
    getpgid getsid setsid getgroups setgroups uname sethostname setdomainname getrlimit setrlimit getrusage \
    umask prctl getcpu gettimeofday settimeofday adjtimex getpid getppid getuid geteuid getgid getegid gettid \
    sysinfo mq_open mq_unlink mq_timedsend mq_timedreceive mq_notify mq_getsetattr msgget msgctl msgrcv msgsnd \
    semget semctl semtimedop semop shmget shmctl shmat shmdt socket socketpair bind listen accept connect \
    getsockname getpeername sendto recvfrom setsockopt getsockopt shutdown sendmsg recvmsg readahead brk munmap \
    mremap add_key request_key keyctl clone execve mmap fadvise64 swapon swapoff mprotect msync mlock munlock \
    mlockall munlockall mincore madvise remap_file_pages mbind get_mempolicy set_mempolicy migrate_pages \
    move_pages rt_tgsigqueueinfo perf_event_open accept4 recvmmsg - - - - - - - - - - - - - - - - wait4 \
    prlimit64 fanotify_init fanotify_mark name_to_handle_at open_by_handle_at clock_adjtime syncfs setns \
    sendmmsg process_vm_readv process_vm_writev kcmp finit_module sched_setattr sched_getattr renameat2 seccomp \
    getrandom memfd_create bpf execveat userfaultfd membarrier mlock2 copy_file_range preadv2 pwritev2 \
    pkey_mprotect pkey_alloc pkey_free statx io_pgetevents rseq kexec_file_load";

/// Since Linux 5.1 a new call has one number on both, from [`COMMON_FIRST`] on.
const COMMON: &str = "\
    pidfd_send_signal io_uring_setup io_uring_enter io_uring_register open_tree move_mount fsopen fsconfig \
    fsmount fspick pidfd_open clone3 close_range openat2 pidfd_getfd faccessat2 process_madvise epoll_pwait2 \
    mount_setattr quotactl_fd landlock_create_ruleset landlock_add_rule landlock_restrict_self memfd_secret \
    process_mrelease futex_waitv set_mempolicy_home_node cachestat fchmodat2 map_shadow_stack futex_wake \
    futex_wait futex_requeue statmount listmount lsm_get_self_attr lsm_set_self_attr lsm_list_modules mseal \
    setxattrat getxattrat listxattrat removexattrat open_tree_attr file_getattr file_setattr";

const COMMON_FIRST: u32 = 424;

/// A machine whose system calls a trace may be numbered by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Arch {
    /// x86-64, also called amd64.
    #[default]
    X86_64,
    /// 64-bit ARM, also called arm64.
    Aarch64,
}

/// The name of an architecture that [`Arch`] does not have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected `x86_64` or `aarch64`")]
pub struct UnknownArch;

impl FromStr for Arch {
    type Err = UnknownArch;

    fn from_str(name: &str) -> Result<Self, UnknownArch> {
        match name {
            "x86_64" | "amd64" => Ok(Self::X86_64),
            "aarch64" | "arm64" => Ok(Self::Aarch64),
            _ => Err(UnknownArch),
        }
    }
}

struct Table {
    /// Names by number, up to where [`COMMON`] takes over.
    by_number: Vec<&'static str>,
    /// Numbers by name, the common ones included.
    by_name: Vec<(&'static str, u32)>,
}

impl Table {
    fn new(own: &'static str) -> Self {
        let by_number: Vec<_> = own.split_whitespace().collect();
        let common = COMMON.split_whitespace().zip(COMMON_FIRST..);
        let mut by_name: Vec<_> = by_number.iter().copied().zip(0..).chain(common).collect();
        by_name.retain(|(name, _)| *name != "-");
        by_name.sort_unstable();
        Self { by_number, by_name }
    }

    fn name(&self, nr: u32) -> Option<&'static str> {
        match nr.checked_sub(COMMON_FIRST) {
            Some(i) => COMMON_NAMES.get(i as usize).copied(),
            None => self.by_number.get(nr as usize).copied().filter(|name| *name != "-"),
        }
    }

    fn number(&self, name: &str) -> Option<u32> {
        let i = self.by_name.binary_search_by(|(n, _)| (*n).cmp(name)).ok()?;
        self.by_name.get(i).map(|(_, nr)| *nr)
    }
}

static X86_64_TABLE: LazyLock<Table> = LazyLock::new(|| Table::new(X86_64));
static AARCH64_TABLE: LazyLock<Table> = LazyLock::new(|| Table::new(AARCH64));
static COMMON_NAMES: LazyLock<Vec<&'static str>> = LazyLock::new(|| COMMON.split_whitespace().collect());

impl Arch {
    fn table(self) -> &'static Table {
        match self {
            Self::X86_64 => &X86_64_TABLE,
            Self::Aarch64 => &AARCH64_TABLE,
        }
    }

    /// The name of this machine's call `nr`, if it is one this version knows.
    pub fn name(self, nr: u32) -> Option<&'static str> {
        self.table().name(nr)
    }

    /// The number that this machine has for the call `name`.
    pub fn number(self, name: &str) -> Option<u32> {
        self.table().number(name)
    }

    /// The x86-64 number of this machine's call `nr`. An x86-64 number stays what it is, known or not.
    pub fn to_x86_64(self, nr: u32) -> Option<u32> {
        match self {
            Self::X86_64 => Some(nr),
            Self::Aarch64 if nr >= COMMON_FIRST => self.name(nr).map(|_| nr),
            Self::Aarch64 => Self::X86_64.number(self.name(nr)?),
        }
    }
}

/// The name of x86-64 system call `nr`, if it is one this version knows.
pub fn syscall_name(nr: u32) -> Option<&'static str> {
    Arch::X86_64.name(nr)
}

/// The x86-64 number of the system call `name`.
pub fn syscall_number(name: &str) -> Option<u32> {
    Arch::X86_64.number(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_those_of_the_kernel() {
        for (name, x86_64, aarch64) in [
            ("read", Some(0), Some(63)),
            ("open", Some(2), None),
            ("execve", Some(59), Some(221)),
            ("newfstatat", Some(262), Some(79)),
            ("openat", Some(257), Some(56)),
            ("mmap", Some(9), Some(222)),
            ("renameat", Some(264), Some(38)),
            ("accept4", Some(288), Some(242)),
            ("wait4", Some(61), Some(260)),
            ("rseq", Some(334), Some(293)),
            ("pidfd_send_signal", Some(424), Some(424)),
            ("clone3", Some(435), Some(435)),
            ("openat2", Some(437), Some(437)),
            ("cachestat", Some(451), Some(451)),
            ("mseal", Some(462), Some(462)),
            ("no_such_call", None, None),
            ("-", None, None),
        ] {
            assert_eq!(syscall_number(name), x86_64, "{name}");
            assert_eq!(Arch::Aarch64.number(name), aarch64, "{name}");
            if let (Some(x), Some(a)) = (x86_64, aarch64) {
                assert_eq!(Arch::Aarch64.to_x86_64(a), Some(x), "{name}");
            }
        }
    }

    #[test]
    fn every_name_leads_back_to_its_number() {
        for arch in [Arch::X86_64, Arch::Aarch64] {
            let known = (0..1000).filter_map(|nr| Some((nr, arch.name(nr)?)));
            assert!(known.clone().count() > 300);
            for (nr, name) in known {
                assert_eq!(arch.number(name), Some(nr), "{name}");
                assert!(arch.to_x86_64(nr).is_some(), "{name} has no x86-64 number");
            }
        }
        assert_eq!(Arch::Aarch64.to_x86_64(244), None);
        assert_eq!(Arch::Aarch64.to_x86_64(9999), None);
        assert_eq!(syscall_name(340), None);
        assert_eq!(syscall_name(u32::MAX), None);
    }
}
