//! What no shard would take, found while the line is known: texts longer than any that the system has.
//!
//! What is only known to be wrong by what came before, a second workload of a container, a worker finds; it is told the line.

use super::Reject;
use crate::behaviour::{Bounded as Limit, PATH_BYTES_MAX};
use crate::event::{Body, EventRef, Sink};
use crate::intern::TEXT_MAX;
use crate::ledger::Rejected;

/// Lets events through, except one that no shard would take.
pub(super) struct Watch<'a> {
    pub sink: &'a mut dyn Sink,
    /// What events were held back for. They are not counted yet.
    pub held_back: Vec<Reject>,
    /// How many counted events were let through.
    pub passed: u64,
}

impl<'a> Watch<'a> {
    pub(super) fn new(sink: &'a mut dyn Sink) -> Self {
        Self { sink, held_back: Vec::new(), passed: 0 }
    }
}

impl Sink for Watch<'_> {
    fn event(&mut self, event: EventRef<'_>) {
        if let Some(reject) = impossible(&event) {
            self.held_back.push(reject);
            return;
        }
        self.passed += 1;
        self.sink.event(event);
    }

    fn implied(&mut self, event: EventRef<'_>) {
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
    fn a_workload_s_texts_have_a_longest() {
        let (fits, long) = (vec![b'x'; TEXT_MAX], vec![b'x'; TEXT_MAX + 1]);
        for (image, tag, field) in
            [(&fits, &long, Some("tag")), (&long, &fits, Some("image")), (&fits, &fits, None), (&fits, &fits, None)]
        {
            let mut sent = EventBuf::new();
            let mut watch = Watch::new(&mut sent);
            let body = Body::ContainerStart { image: &**image, tag: &**tag };
            let event = Event { ts: 0, container: &b"c"[..], pid: 0, start: None, body };
            watch.implied(event);
            watch.event(event);
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
            let mut watch = Watch::new(&mut sent);
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
