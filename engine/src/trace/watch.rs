//! What no shard would take, found while the line is known: the second workload of a container, and texts longer than
//! any that the system has.
//!
//! Shards know the events of a container in their order, but not the lines that they stand in.

use super::Reject;
use super::bounded::Bounded;
use crate::behaviour::{Bounded as Limit, PATH_BYTES_MAX};
use crate::event::{Body, EventRef, Sink, UNKNOWN_IMAGE};
use crate::hash::fingerprint;
use crate::intern::TEXT_MAX;
use crate::ledger::Rejected;

/// How many containers are remembered. A second workload of one that was forgotten is counted and not reported.
const CONTAINERS_MAX: usize = 1 << 18;

/// The workloads of containers, as hashes: at most some 32 MiB, whatever the input.
#[derive(Debug)]
pub struct Workloads {
    /// By container id: image and tag.
    reported: Bounded<u128, (u128, u128)>,
}

impl Default for Workloads {
    fn default() -> Self {
        Self { reported: Bounded::new(CONTAINERS_MAX) }
    }
}

impl Workloads {
    /// Remembers what a container is told to be; or why it cannot be that.
    fn remember(&mut self, container: &[u8], image: &[u8], tag: &[u8]) -> Option<Reject> {
        // The host is what it is, and that nobody knows a workload is none.
        if container.is_empty() || [image, tag] == [UNKNOWN_IMAGE.as_bytes(); 2] {
            return None;
        }
        let now = (fingerprint(image), fingerprint(tag));
        let first = *self.reported.get_or_insert_with(fingerprint(container), || now);
        let field = match first {
            first if first == now => return None,
            (image, _) if image == now.0 => "tag",
            _ => "image",
        };
        let [image, tag] = [image, tag].map(String::from_utf8_lossy);
        let detail = format!("the container is of another workload than {image}:{tag}, and the first stands");
        Some(Reject { reason: Rejected::ConflictingWorkload, field: Some(field), detail })
    }
}

/// Lets events through, except one that no shard would take.
pub(super) struct Watch<'a> {
    pub sink: &'a mut dyn Sink,
    pub workloads: &'a mut Workloads,
    /// What events were held back for. They are not counted yet.
    pub held_back: Vec<Reject>,
    /// How many counted events were let through.
    pub passed: u64,
    /// What is wrong with the record's event, which was let through: the shard counts it.
    pub conflict: Option<Reject>,
}

impl<'a> Watch<'a> {
    pub(super) fn new(sink: &'a mut dyn Sink, workloads: &'a mut Workloads) -> Self {
        Self { sink, workloads, held_back: Vec::new(), passed: 0, conflict: None }
    }
}

impl Sink for Watch<'_> {
    fn event(&mut self, event: EventRef<'_>) {
        if let Some(reject) = impossible(&event) {
            self.held_back.push(reject);
            return;
        }
        self.passed += 1;
        if let Body::ContainerStart { image, tag } = event.body {
            self.conflict = self.workloads.remember(event.container, image, tag);
        }
        self.sink.event(event);
    }

    fn implied(&mut self, event: EventRef<'_>) {
        if let Body::ContainerStart { image, tag } = event.body
            && impossible(&event).is_none()
        {
            self.workloads.remember(event.container, image, tag);
        }
        self.sink.implied(event);
    }
}

/// Why there can be no such event.
fn impossible(event: &EventRef<'_>) -> Option<Reject> {
    let text = |field, bytes, max| Some(Limit { field, bytes, max, reason: Rejected::InvalidValue });
    let bounded = match &event.body {
        Body::Exec(exec) => {
            let reason = Rejected::TooLong;
            Some(Limit { field: "path", bytes: exec.path, max: PATH_BYTES_MAX, reason })
        }
        Body::ContainerStart { image, .. } if image.len() > TEXT_MAX => text("image", image, TEXT_MAX),
        Body::ContainerStart { tag, .. } if tag.len() > TEXT_MAX => text("tag", tag, TEXT_MAX),
        body => body.bounded(),
    };
    let Limit { field, bytes, max, reason } = bounded?;
    let len = bytes.len();
    let detail = match len {
        0 => "it is empty".to_owned(),
        len if len > max => format!("{len} bytes, longer than any can be; the limit is {max}"),
        _ => return None,
    };
    let reason = if len == 0 { Rejected::InvalidValue } else { reason };
    Some(Reject { reason, field: Some(field), detail })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{Event, EventBuf, Open};

    #[test]
    fn the_first_workload_stands() {
        let mut workloads = Workloads::default();
        for (container, image, tag, field) in [
            ("c", "web", "1", None),
            ("c", "web", "1", None),
            ("c", "web", "2", Some("tag")),
            ("c", "db", "1", Some("image")),
            ("c", "web", "1", None),
            ("d", "db", "1", None),
            ("", "x", "1", None),
            ("", "y", "1", None),
            ("e", UNKNOWN_IMAGE, UNKNOWN_IMAGE, None),
            ("e", "web", "1", None),
            ("e", UNKNOWN_IMAGE, UNKNOWN_IMAGE, None),
            ("e", "web", "2", Some("tag")),
            ("f", UNKNOWN_IMAGE, "1", None),
            ("f", "web", "1", Some("image")),
        ] {
            let reported = workloads.remember(container.as_bytes(), image.as_bytes(), tag.as_bytes());
            assert_eq!(reported.and_then(|reject| reject.field), field, "{container} {image} {tag}");
        }
    }

    #[test]
    fn a_workload_s_texts_have_a_longest() {
        let (fits, long) = (vec![b'x'; TEXT_MAX], vec![b'x'; TEXT_MAX + 1]);
        let mut workloads = Workloads::default();
        for (image, tag, field) in
            [(&fits, &long, Some("tag")), (&long, &fits, Some("image")), (&fits, &fits, None), (&fits, &fits, None)]
        {
            let mut sent = EventBuf::new();
            let mut watch = Watch::new(&mut sent, &mut workloads);
            let body = Body::ContainerStart { image: &**image, tag: &**tag };
            let event = Event { ts: 0, container: &b"c"[..], pid: 0, start: None, body };
            watch.implied(event);
            watch.event(event);
            // What cannot be is not what the container was told to be first.
            assert!(watch.conflict.is_none());
            let rejected = watch.held_back.first().map(|reject| (reject.reason, reject.field));
            assert_eq!(rejected, field.map(|field| (Rejected::InvalidValue, Some(field))));
            assert_eq!(sent.len(), 1 + usize::from(field.is_none()));
        }
    }

    #[test]
    fn a_path_has_a_length_that_there_can_be() {
        for (len, ret, reason) in [
            (0, 0, Some(Rejected::InvalidValue)),
            (1, 0, None),
            (PATH_BYTES_MAX, 0, None),
            (PATH_BYTES_MAX + 1, 0, Some(Rejected::TooLong)),
            (PATH_BYTES_MAX + 1, -36, None),
        ] {
            let path = vec![b'/'; len];
            let mut sent = EventBuf::new();
            let mut workloads = Workloads::default();
            let mut watch = Watch::new(&mut sent, &mut workloads);
            watch.event(Event {
                ts: 0,
                container: b"c",
                pid: 1,
                start: None,
                body: Body::Open(Open { path: &path, flags: 0, ret, map: false }),
            });
            assert_eq!(watch.held_back.first().map(|reject| reject.reason), reason, "{len} {ret}");
            assert_eq!(sent.is_empty(), reason.is_some());
        }
    }
}
