//! The process connector's messages: `nlmsghdr`, then `cn_msg`, then `proc_event`, all in the host's byte order.
//!
//! Not here: the socket. Whatever the bytes, decoding ends and reads nothing beyond them.

/// `CN_IDX_PROC`, which is the multicast group too.
pub(super) const PROC: u32 = 1;

/// `PROC_CN_MCAST_LISTEN`.
pub(super) const LISTEN: u32 = 1;

/// What older kernels write into an acknowledgement; newer ones count it.
pub(super) const NO_CPU: u32 = u32::MAX;

const NLMSG_DONE: u16 = 3;
const NLMSG_HEADER: usize = 16;
const CN_HEADER: usize = 20;

/// One message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Message {
    /// Counts the messages of one processor, delivered or not.
    pub(super) seq: u32,
    /// The processor; [`NO_CPU`] if the message is not counted.
    pub(super) cpu: u32,
    /// Nanoseconds of the monotonic clock.
    pub(super) monotonic_ns: u64,
    pub(super) what: MessageBody,
}

/// The content of a message of the process connector.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum MessageBody {
    /// The answer to somebody's request to listen, with an error number and a number that is one more than the
    /// request's.
    Ack {
        error: u32,
        number: u32,
    },
    /// A thread was made, or a process if both ids of the child are the same.
    Fork {
        parent: u32,
        child: u32,
        child_thread: u32,
    },
    Exec {
        process: u32,
    },
    /// A thread ended, or a process's first.
    Exit {
        process: u32,
        thread: u32,
    },
    /// Of no interest.
    Other,
}

/// A request, with a number to know the answer by: every listener is sent it.
pub(super) fn request(op: u32, number: u32) -> Vec<u8> {
    let mut message = Vec::with_capacity(NLMSG_HEADER + CN_HEADER + 4);
    message.extend_from_slice(&((NLMSG_HEADER + CN_HEADER + 4) as u32).to_ne_bytes());
    message.extend_from_slice(&NLMSG_DONE.to_ne_bytes());
    // Flags, sequence and port of the netlink header.
    message.extend_from_slice(&[0; 10]);
    // `CN_IDX_PROC` and `CN_VAL_PROC`, sequence and acknowledgement.
    for word in [PROC, 1, 0, number] {
        message.extend_from_slice(&word.to_ne_bytes());
    }
    message.extend_from_slice(&4u16.to_ne_bytes());
    message.extend_from_slice(&[0; 2]);
    message.extend_from_slice(&op.to_ne_bytes());
    message
}

/// The messages of one datagram.
pub(super) fn decode(mut datagram: &[u8]) -> impl Iterator<Item = Message> {
    std::iter::from_fn(move || {
        loop {
            let len = u32_at(datagram, 0)? as usize;
            let message = datagram.get(..len).filter(|_| len >= NLMSG_HEADER)?;
            datagram = datagram.get(len.next_multiple_of(4)..).unwrap_or_default();
            if let Some(message) = decode_one(message.get(NLMSG_HEADER..)?) {
                return Some(message);
            }
        }
    })
}

fn decode_one(message: &[u8]) -> Option<Message> {
    if (u32_at(message, 0)?, u32_at(message, 4)?) != (PROC, 1) {
        return None;
    }
    let seq = u32_at(message, 8)?;
    let event = message.get(CN_HEADER..)?;
    let at = |word: usize| u32_at(event, 16 + 4 * word);
    let what = match u32_at(event, 0)? {
        0 => MessageBody::Ack { error: at(0)?, number: u32_at(message, 12)? },
        // Parent's thread and process, child's thread and process.
        0x1 => MessageBody::Fork { parent: at(1)?, child_thread: at(2)?, child: at(3)? },
        0x2 => MessageBody::Exec { process: at(1)? },
        0x8000_0000 => MessageBody::Exit { thread: at(0)?, process: at(1)? },
        _ => MessageBody::Other,
    };
    let monotonic_ns = event.get(8..16)?.try_into().map(u64::from_ne_bytes).ok()?;
    Some(Message { seq, cpu: u32_at(event, 4)?, monotonic_ns, what })
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..at.checked_add(4)?)?.try_into().map(u32::from_ne_bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// A message as the kernel writes it.
    fn message(what: u32, cpu: u32, words: [u32; 4]) -> Vec<u8> {
        let mut event = Vec::new();
        event.extend_from_slice(&what.to_ne_bytes());
        event.extend_from_slice(&cpu.to_ne_bytes());
        event.extend_from_slice(&99u64.to_ne_bytes());
        words.iter().for_each(|word| event.extend_from_slice(&word.to_ne_bytes()));
        let mut message = Vec::new();
        message.extend_from_slice(&((NLMSG_HEADER + CN_HEADER + event.len()) as u32).to_ne_bytes());
        message.extend_from_slice(&[0; 12]);
        [PROC, 1, 5, 8].iter().for_each(|word| message.extend_from_slice(&word.to_ne_bytes()));
        message.extend_from_slice(&(event.len() as u16).to_ne_bytes());
        message.extend_from_slice(&[0; 2]);
        message.extend_from_slice(&event);
        message
    }

    #[test]
    fn messages_are_what_the_kernel_means() {
        for (kind, words, what) in [
            (0, [1, 0, 0, 0], MessageBody::Ack { error: 1, number: 8 }),
            (1, [10, 11, 20, 21], MessageBody::Fork { parent: 11, child: 21, child_thread: 20 }),
            (2, [30, 31, 0, 0], MessageBody::Exec { process: 31 }),
            (0x8000_0000, [40, 41, 0, 17], MessageBody::Exit { process: 41, thread: 40 }),
            (0x4, [1, 2, 3, 4], MessageBody::Other),
            (0x200, [1, 2, 3, 4], MessageBody::Other),
        ] {
            let reported: Vec<_> = decode(&message(kind, 3, words)).collect();
            assert_eq!(reported, [Message { seq: 5, cpu: 3, monotonic_ns: 99, what }]);
        }
    }

    #[test]
    fn a_datagram_may_hold_several_and_ends_where_it_ends() {
        let one = message(2, 0, [1, 2, 3, 4]);
        let two = [one.as_slice(), &one].concat();
        assert_eq!(decode(&two).count(), 2);
        for len in 0..one.len() {
            assert_eq!(decode(&one[..len]).count(), 0, "{len} bytes");
            assert_eq!(decode(&two[..one.len() + len]).count(), 1, "{len} bytes more");
        }
        let mut other = one.clone();
        other[16] = 2;
        assert_eq!(decode(&[other, one].concat()).count(), 1, "another connector's is passed over");
    }

    proptest! {
        #[test]
        fn any_bytes_are_decoded(bytes in proptest::collection::vec(any::<u8>(), 0..200), len in 0u32..100) {
            let mut bytes = bytes;
            if let Some(head) = bytes.get_mut(..4) {
                head.copy_from_slice(&len.to_ne_bytes());
            }
            prop_assert!(decode(&bytes).count() <= bytes.len() / NLMSG_HEADER);
        }
    }
}
