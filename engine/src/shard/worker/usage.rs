//! What a worker's containers take of memory, counted as it changes, and told to the other workers.
//!
//! Not here: what all workers may take together (`shard/memory`), and what is let go of (`limits`).

use super::Worker;
use crate::shard::memory::MemoryUsage;

impl Worker {
    /// Counts the container at hand anew, if it has changed.
    pub(super) fn measure_last(&mut self) {
        if std::mem::take(&mut self.changed) {
            self.measure(self.last);
        }
    }

    /// The container at hand is this one, and may take more or less than before.
    pub(super) fn has_changed(&mut self, index: usize) {
        if self.last != index {
            // Others were let go to make room for it.
            self.measure_last();
            self.last = index;
        }
        self.changed = true;
    }

    /// Counts a container anew.
    pub(super) fn measure(&mut self, index: usize) {
        let Some(container) = self.containers.get_mut(index) else { return };
        let now = container.own_bytes();
        let before = std::mem::replace(&mut container.counted, now);
        self.containers_bytes = self.containers_bytes + now - before;
        if container.lingers {
            self.lingering_bytes = self.lingering_bytes + now - before;
        }
    }

    /// What is held, the container at hand as it was weighed last.
    pub(super) fn held(&self) -> MemoryUsage {
        MemoryUsage {
            // Those that linger have a bound of their own, and none of the others goes for them.
            containers: self.containers_bytes - self.lingering_bytes,
            waiting: self.waiting.bytes + self.replaying_bytes,
            images: self.images.heap_bytes(),
            remembered: self.remembered_bytes + self.lingering_bytes,
        }
    }

    /// Tells the other workers what is held here.
    pub(super) fn publish(&mut self) {
        self.measure_last();
        self.memory.publish(self.shard, &self.held());
    }
}
