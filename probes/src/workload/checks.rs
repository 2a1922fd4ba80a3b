//! Which container runtimes this host has, and whether they answer.
//!
//! Not here: whether the kernel lets events be seen.

use super::ask::Options;
use super::cgroups::{Cgroups, Lost};
use super::miss::Miss;
use super::source::Sources;
use crate::check::Check;

/// What is needed to know whose a cgroup is. Takes at most as long as one request may.
pub fn checks(options: &Options) -> Vec<Check> {
    let mut checks = Vec::from_iter(cgroup_ids());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().enable_time().build();
    match runtime {
        Ok(runtime) => checks.extend(runtime.block_on(runtimes(options))),
        Err(error) => checks.push(Check {
            name: "container runtimes".to_owned(),
            ok: false,
            required: false,
            detail: format!("they could not be asked: {error}"),
            remedy: "raise the limit of open files: ulimit -n".to_owned(),
        }),
    }
    checks
}

/// Whether the kernel's ids of cgroups become paths: tried with the root's. `None` if that fails for want of a
/// capability, which others look for.
fn cgroup_ids() -> Option<Check> {
    let tried = Cgroups::open(1).map_err(Lost::from).and_then(|mut cgroups| {
        let id = cgroups.root_id()?;
        cgroups.path(id).map(|_| cgroups.root().display().to_string())
    });
    let (ok, required, detail, remedy) = match tried {
        Ok(root) => (true, true, format!("cgroup v2 at {root}, ids become paths"), String::new()),
        Err(Lost::Refused(error)) if error.kind() == std::io::ErrorKind::NotFound => {
            (false, true, error.to_string(), "mount -t cgroup2 cgroup2 /sys/fs/cgroup".to_owned())
        }
        Err(Lost::Refused(error)) if error.kind() == std::io::ErrorKind::PermissionDenied => return None,
        // Cgroups that are there at the start, and those whose making is announced, are known all the same.
        Err(error) => (false, false, error.to_string(), "run as root, or with CAP_DAC_READ_SEARCH".to_owned()),
    };
    Some(Check { name: "cgroup ids".to_owned(), ok, required, detail, remedy })
}

/// One check for each socket that is there, and one for all together.
async fn runtimes(options: &Options) -> Vec<Check> {
    let sources = Sources::new(options);
    let mut asked = tokio::task::JoinSet::new();
    for (at, source) in sources.sockets().enumerate() {
        let source = std::sync::Arc::clone(source);
        asked.spawn(async move { (at, source.version().await) });
    }
    let mut answers: Vec<_> = asked.join_all().await;
    answers.sort_by_key(|(at, _)| *at);
    let mut checks = Vec::new();
    for (_, (socket, version)) in answers {
        let (ok, detail, remedy) = match version {
            Ok(version) => (true, version, String::new()),
            Err(Miss::Absent) => continue,
            Err(Miss::Unreachable(detail)) => {
                let remedy = "see whether the runtime runs, and whether this user may open its socket";
                (false, detail, remedy.to_owned())
            }
            Err(miss) => (false, format!("an answer that makes no sense: {miss:?}"), "report it".to_owned()),
        };
        checks.push(Check { name: format!("runtime {socket}"), ok, required: false, detail, remedy });
    }
    let answering = checks.iter().filter(|check| check.ok).count();
    let storage = options.storage.iter().filter(|root| root.is_dir()).count();
    let found = answering + storage;
    checks.push(Check {
        name: "container runtimes".to_owned(),
        ok: found > 0,
        required: false,
        detail: format!("{answering} answering on a socket, {storage} known by storage on disk"),
        remedy: match found {
            0 => "without one, containers are learned as <unknown>; runc's are named by annotations".to_owned(),
            _ => String::new(),
        },
    });
    checks
}
