//! The way into one shard's queue, and how it is closed without losing sight of a message.
//!
//! A bounded channel keeps what is in it when its receiver goes, for as long as a sender lives: whatever was sent
//! while the worker ended would be neither applied nor counted. So senders pass a gate. The worker, when it ends for
//! whatever reason, closes the gate and empties the queue until nobody is in the gate any more.
//!
//! Not here: what is sent (`sender`), and what becomes of it (`worker`).

use crossbeam_channel::{Receiver, Sender, TrySendError};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

/// The sending side of a shard's queue.
pub(super) struct Gate<T> {
    queue: Sender<T>,
    closed: AtomicBool,
    inside: AtomicUsize,
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
        Self { queue, closed: AtomicBool::new(false), inside: AtomicUsize::new(0) }
    }

    /// Puts a message into the queue. One that was taken is received or [left over](Self::close), never lost.
    pub fn send(&self, message: T, wait: bool) -> Result<(), Refused<T>> {
        // SeqCst, here and in `close`: of "I am inside" and "it is closed" at least one is seen by the other side.
        self.inside.fetch_add(1, Ordering::SeqCst);
        let outcome = if self.closed.load(Ordering::SeqCst) {
            Err(Refused::Closed(message))
        } else if wait {
            self.queue.send(message).map_err(|e| Refused::Closed(e.into_inner()))
        } else {
            self.queue.try_send(message).map_err(|e| match e {
                TrySendError::Full(message) => Refused::Full(message),
                TrySendError::Disconnected(message) => Refused::Closed(message),
            })
        };
        self.inside.fetch_sub(1, Ordering::SeqCst);
        outcome
    }

    /// Closes the gate and gives everything that is, or still gets, into the queue to `left_over`. Those who wait for
    /// room get in by that.
    pub fn close(&self, queue: &Receiver<T>, mut left_over: impl FnMut(T)) {
        self.closed.store(true, Ordering::SeqCst);
        loop {
            let nobody = self.inside.load(Ordering::SeqCst) == 0;
            queue.try_iter().for_each(&mut left_over);
            if nobody {
                return;
            }
            std::thread::yield_now();
        }
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
