//! A record as Tracee writes it, before 2026 and since.
//!
//! Since then it is a `v1beta1.Event`: the process and its container are in `workload`, and each argument is in `data`,
//! under the name of its type. Either is read by the same questions. Not here: what a record means (`meaning`).

use serde::Deserialize;
use sonic_rs::LazyValue;

use crate::trace::Reject;
use crate::trace::json::{self, Int, Text};

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct Record<'a> {
    #[serde(borrow)]
    timestamp: Option<LazyValue<'a>>,
    thread_start_time: Option<Int>,
    host_process_id: Option<Int>,
    host_thread_id: Option<Int>,
    host_parent_process_id: Option<Int>,
    user_id: Option<Int>,
    #[serde(borrow)]
    event_name: Option<Text<'a>>,
    #[serde(borrow)]
    container_id: Option<Text<'a>>,
    #[serde(borrow)]
    container_image: Option<Text<'a>>,
    #[serde(borrow)]
    container: Option<Container<'a>>,
    #[serde(borrow)]
    executable: Option<Executable<'a>>,
    return_value: Option<Int>,
    #[serde(borrow)]
    args: Option<Vec<Argument<'a>>>,
    // v1beta1
    #[serde(borrow)]
    name: Option<Text<'a>>,
    #[serde(borrow)]
    workload: Option<Workload<'a>>,
    #[serde(borrow)]
    data: Option<Vec<Argument<'a>>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Container<'a> {
    #[serde(borrow)]
    id: Option<Text<'a>>,
    #[serde(borrow)]
    image: Option<Text<'a>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Executable<'a> {
    #[serde(borrow)]
    path: Option<Text<'a>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Workload<'a> {
    #[serde(borrow)]
    process: Option<Process<'a>>,
    #[serde(borrow)]
    container: Option<WorkloadContainer<'a>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Process<'a> {
    #[serde(borrow)]
    executable: Option<Executable<'a>>,
    host_pid: Option<Int>,
    real_user: Option<User>,
    #[serde(borrow)]
    thread: Option<Thread<'a>>,
    /// The parent, its parent, and so on.
    ancestors: Option<Vec<Ancestor>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Ancestor {
    host_pid: Option<Int>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct User {
    id: Option<Int>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Thread<'a> {
    #[serde(borrow)]
    start_time: Option<Text<'a>>,
    host_tid: Option<Int>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct WorkloadContainer<'a> {
    #[serde(borrow)]
    id: Option<Text<'a>>,
    #[serde(borrow)]
    image: Option<Image<'a>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Image<'a> {
    #[serde(borrow)]
    name: Option<Text<'a>>,
}

/// An argument: `value`, or since v1beta1 the one value of a type that is asked for.
#[derive(Debug, Deserialize)]
struct Argument<'a> {
    #[serde(borrow)]
    name: Text<'a>,
    #[serde(default, borrow)]
    value: Option<LazyValue<'a>>,
    #[serde(default, borrow)]
    int32: Option<LazyValue<'a>>,
    #[serde(default, borrow)]
    int64: Option<LazyValue<'a>>,
    #[serde(default, borrow)]
    u_int32: Option<LazyValue<'a>>,
    #[serde(default, borrow)]
    u_int64: Option<LazyValue<'a>>,
    #[serde(default, borrow)]
    str: Option<LazyValue<'a>>,
    #[serde(default, borrow)]
    bool: Option<LazyValue<'a>>,
    #[serde(default, borrow)]
    str_array: Option<LazyValue<'a>>,
    #[serde(default, borrow)]
    sockaddr: Option<LazyValue<'a>>,
    #[serde(default, borrow)]
    dns: Option<LazyValue<'a>>,
    #[serde(default, borrow)]
    dns_questions: Option<LazyValue<'a>>,
    #[serde(default, borrow)]
    http: Option<LazyValue<'a>>,
    #[serde(default, borrow)]
    http_request: Option<LazyValue<'a>>,
}

impl<'a> Argument<'a> {
    fn given(&self) -> Option<&LazyValue<'a>> {
        let Self { value, int32, int64, u_int32, u_int64, str, bool, str_array, sockaddr, dns, .. } = self;
        let Self { dns_questions, http, http_request, .. } = self;
        let values = [value, int32, int64, u_int32, u_int64, str, bool, str_array, sockaddr, dns];
        values.into_iter().chain([dns_questions, http, http_request]).flatten().next()
    }
}

/// A process as a record names it.
pub(super) struct Who<'a> {
    pub(super) pid: u32,
    /// 0 if it is not told.
    pub(super) ppid: u32,
    /// The process's start, if the thread that wrote the record leads it.
    pub(super) start: Option<u64>,
    pub(super) uid: Option<u32>,
    /// The program's path, if it is told.
    pub(super) path: Option<&'a str>,
}

impl<'a> Record<'a> {
    pub(super) fn name(&self) -> Result<&str, Reject> {
        let name = if self.workload.is_some() { &self.name } else { &self.event_name };
        name.as_deref().ok_or_else(|| json::missing(if self.workload.is_some() { "name" } else { "eventName" }))
    }

    /// In nanoseconds since the epoch.
    pub(super) fn ts(&self) -> Result<u64, Reject> {
        let value = self.timestamp.as_ref().ok_or_else(|| json::missing("timestamp"))?;
        if let Some(ts) = json::part::<Int>(value) {
            return ts.to("timestamp");
        }
        json::nanos(&json::part(value).ok_or_else(|| json::wrong_type("timestamp"))?, "timestamp")
    }

    fn process(&self) -> Option<&Process<'a>> {
        self.workload.as_ref().and_then(|workload| workload.process.as_ref())
    }

    pub(super) fn who(&self) -> Result<Who<'_>, Reject> {
        let uid = |uid: Int| u32::try_from(uid.0).ok();
        let Some(workload) = &self.workload else {
            let start = self.thread_start_time.filter(|_| self.leads());
            let pid = self.host_process_id.ok_or_else(|| json::missing("hostProcessId"))?.to("hostProcessId")?;
            return Ok(Who {
                pid,
                ppid: self.host_parent_process_id.map_or(Ok(0), |ppid| ppid.to("hostParentProcessId"))?,
                start: start.map(|start| start.to("threadStartTime")).transpose()?,
                uid: self.user_id.and_then(uid),
                path: program(self.executable.as_ref()),
            });
        };
        let process = workload.process.as_ref().ok_or_else(|| json::missing("workload.process"))?;
        let parent = process.ancestors.as_ref().and_then(|ancestors| ancestors.first());
        let start = process.thread.as_ref().and_then(|thread| thread.start_time.as_ref()).filter(|_| self.leads());
        Ok(Who {
            pid: process.host_pid.ok_or_else(|| json::missing("workload.process.host_pid"))?.to("host_pid")?,
            ppid: parent.and_then(|parent| parent.host_pid).map_or(Ok(0), |pid| pid.to("ancestors.host_pid"))?,
            start: start.map(|start| json::nanos(start, "start_time")).transpose()?,
            uid: process.real_user.as_ref().and_then(|user| user.id).and_then(uid),
            path: program(process.executable.as_ref()),
        })
    }

    /// Whether the thread that wrote the record is its process's first.
    pub(super) fn leads(&self) -> bool {
        match self.process() {
            Some(process) => process.thread.as_ref().and_then(|thread| thread.host_tid) == process.host_pid,
            None => self.host_thread_id == self.host_process_id,
        }
    }

    /// The container's id and the reference of its image, where they are told.
    pub(super) fn container(&self) -> (Option<&str>, Option<&str>) {
        let reported = |text: &'_ &str| !text.is_empty();
        if let Some(workload) = &self.workload {
            let container = workload.container.as_ref();
            let image = container.and_then(|container| container.image.as_ref()?.name.as_deref());
            return (container.and_then(|container| container.id.as_deref()).filter(reported), image.filter(reported));
        }
        let nested = self.container.as_ref();
        let id = nested.and_then(|c| c.id.as_deref()).filter(reported).or(self.container_id.as_deref());
        let image = nested.and_then(|c| c.image.as_deref()).filter(reported).or(self.container_image.as_deref());
        (id.filter(reported), image.filter(reported))
    }

    fn value(&self, name: &str) -> Option<&LazyValue<'a>> {
        let list = if self.workload.is_some() { &self.data } else { &self.args };
        list.iter().flatten().find(|arg| *arg.name == *name)?.given()
    }

    /// The argument of this name, if it is of that type.
    pub(super) fn arg<'b, T: Deserialize<'b>>(&'b self, name: &str) -> Option<T> {
        json::part(self.value(name)?)
    }

    /// The argument of this name, which an event like this always has.
    pub(super) fn required<'b, T: Deserialize<'b>>(&'b self, name: &'static str) -> Result<T, Reject> {
        let value = self.value(name).ok_or_else(|| json::missing(name))?;
        json::part(value).ok_or_else(|| json::wrong_type(name))
    }

    /// The texts of a list.
    pub(super) fn list(&self, name: &str) -> Option<Vec<Text<'_>>> {
        #[derive(Deserialize)]
        struct Wrapped<'b> {
            #[serde(borrow)]
            value: Vec<Text<'b>>,
        }
        self.arg(name).or_else(|| self.arg::<Wrapped<'_>>(name).map(|list| list.value))
    }

    /// The result; of an event that has none, success.
    pub(super) fn ret(&self) -> Result<i64, Reject> {
        let ret = self.return_value.or_else(|| self.workload.as_ref().and(self.arg("returnValue")));
        ret.map_or(Ok(0), |ret| ret.to("returnValue"))
    }
}

fn program<'b>(executable: Option<&'b Executable<'_>>) -> Option<&'b str> {
    executable?.path.as_deref().filter(|path| !path.is_empty())
}
