//! The way into one shard's queue, and how it is closed without losing sight of a message.
//!
//! A bounded channel keeps what is in it when its receiver goes, for as long as a sender lives: whatever was sent
//! while the worker ended would be neither applied nor counted. So there is one sending end, in the gate, borrowed for
//! each message. The worker, when it ends for whatever reason, takes it away and receives until the channel says that
//! nobody has it any more. The channel and `ArcSwapOption` do all of it; there are no atomics here.
//!
//! Not here: what is sent (`sender`), and what becomes of it (`worker`).

use arc_swap::ArcSwapOption;
use crossbeam_channel::{Receiver, Sender, TrySendError};

/// The sending side of a shard's queue.
pub(super) struct Gate<T> {
    /// None once it is closed.
    queue: ArcSwapOption<Sender<T>>,
}

/// Why a message was not taken; it comes back.
pub(super) enum Refused<T> {
    /// The queue is full, and the sender did not want to wait.
    Full(T),
    /// The worker has ended.
    Closed(T),
}

impl<T> Gate<T> {
    pub fn new(queue: Sender<T>) -> Self {
        Self { queue: ArcSwapOption::from_pointee(queue) }
    }

    /// Whether messages are still taken.
    pub fn is_open(&self) -> bool {
        self.queue.load().is_some()
    }

    /// How many messages the queue would take now; none once it is closed.
    pub fn free(&self) -> Option<usize> {
        let queue = self.queue.load();
        let queue = queue.as_deref()?;
        Some(queue.capacity()?.saturating_sub(queue.len()))
    }

    /// Puts a message into the queue. One that was taken is received or [left over](Self::close), never lost.
    pub fn send(&self, message: T, wait: bool) -> Result<(), Refused<T>> {
        // Borrowed until the message is in the queue: for that long the channel is not done with.
        let queue = self.queue.load();
        match queue.as_deref() {
            None => Err(Refused::Closed(message)),
            Some(queue) if wait => queue.send(message).map_err(|e| Refused::Closed(e.into_inner())),
            Some(queue) => queue.try_send(message).map_err(|e| match e {
                TrySendError::Full(message) => Refused::Full(message),
                TrySendError::Disconnected(message) => Refused::Closed(message),
            }),
        }
    }

    /// Closes the gate and gives everything that is, or still gets, into the queue to `left_over`. Those who wait for
    /// room get in by that. Returns when the last one who borrowed the sending end is through.
    pub fn close(&self, queue: &Receiver<T>, left_over: impl FnMut(T)) {
        self.queue.store(None);
        queue.iter().for_each(left_over);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crossbeam_channel::bounded;

    #[test]
    fn what_is_taken_is_received_or_left_over() {
        for round in 0..200_u32 {
            let (sender, queue) = bounded(2);
            let gate = Gate::new(sender);
            let (mut arrived, mut taken) = (0, 0);
            std::thread::scope(|scope| {
                let threads: Vec<_> = (0..3)
                    .map(|i| {
                        scope.spawn({
                            let gate = &gate;
                            move || (0..100).filter(|n| gate.send(*n, i == 0).is_ok()).count()
                        })
                    })
                    .collect();
                arrived += queue.iter().take(round as usize % 50).count();
                gate.close(&queue, |_| arrived += 1);
                taken = threads.into_iter().filter_map(|t| t.join().ok()).sum();
            });
            assert_eq!(arrived, taken);
            assert!(matches!(gate.send(1, true), Err(Refused::Closed(1))));
        }
    }
}
