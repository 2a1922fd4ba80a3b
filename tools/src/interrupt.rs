//! Ending early and in order: a flag that the first interrupt sets, and a reader that heeds it even while nothing comes.
//!
//! Not here: what is done then. Whoever reads sees the end of the input.

use std::io::{self, ErrorKind, Read};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::sync::{Arc, OnceLock};
use std::thread;
use std::time::Duration;

/// What a pipe holds at most.
const CHUNK: usize = 64 << 10;

/// Chunks that wait at most.
const CHUNKS_WAITING: usize = 8;

/// How often the flag is looked at while nothing comes.
pub(crate) const INTERVAL: Duration = Duration::from_millis(50);

/// Set by the first interrupt, so that what was learned is written; a second one ends the program at once. There is one
/// for the whole program.
pub(crate) fn flag() -> Arc<AtomicBool> {
    static FLAG: OnceLock<Arc<AtomicBool>> = OnceLock::new();
    FLAG.get_or_init(register).clone()
}

fn register() -> Arc<AtomicBool> {
    let stop = Arc::new(AtomicBool::new(false));
    for signal in [signal_hook::consts::SIGINT, signal_hook::consts::SIGTERM, signal_hook::consts::SIGHUP] {
        // The order matters: the flag is not set yet when the first signal asks whether to leave.
        let second = signal_hook::flag::register_conditional_shutdown(signal, 128 + signal, stop.clone());
        let first = second.and_then(|_| signal_hook::flag::register(signal, stop.clone()));
        if let Err(error) = first {
            tracing::warn!(signal, %error, "this signal will end the program at once");
        }
    }
    stop
}

/// Whether there was an interrupt.
pub(crate) fn is_set(stop: &AtomicBool) -> bool {
    stop.load(Ordering::Relaxed)
}

/// Begins what is done once what was interrupted has ended, such as writing what was learned: it has a first interrupt
/// of its own.
pub(crate) fn next_phase() -> Arc<AtomicBool> {
    let stop = flag();
    stop.store(false, Ordering::Relaxed);
    stop
}

/// Makes a file that grows beyond what the limits of this process allow an error like a full disk, which is told,
/// where the signal would end the program without a word.
pub(crate) fn survive_file_size_limit() {
    if let Err(error) = signal_hook::flag::register(signal_hook::consts::SIGXFSZ, Arc::default()) {
        tracing::warn!(%error, "a file beyond the limit of its size will end the program at once");
    }
}

/// A source that may keep silent, such as a pipe, read by a thread of its own. It ends when the flag is set.
pub(crate) struct Interruptible {
    chunks: Receiver<io::Result<Vec<u8>>>,
    chunk: Vec<u8>,
    at: usize,
    stop: Arc<AtomicBool>,
}

impl Interruptible {
    /// Reads `source` until `stop` is set.
    ///
    /// # Errors
    /// There is no thread to be had.
    pub(crate) fn new(mut source: Box<dyn Read + Send>, stop: Arc<AtomicBool>) -> io::Result<Self> {
        let (sender, chunks) = mpsc::sync_channel(CHUNKS_WAITING);
        let read = move || {
            loop {
                let mut chunk = vec![0; CHUNK];
                let read = match source.read(&mut chunk) {
                    Ok(0) => return,
                    Ok(n) => {
                        chunk.truncate(n);
                        Ok(chunk)
                    }
                    Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                    Err(error) => Err(error),
                };
                let failed = read.is_err();
                if sender.send(read).is_err() || failed {
                    return;
                }
            }
        };
        // When the flag is set it is left behind in its read; it holds nothing that anybody waits for.
        thread::Builder::new().name("reader".to_owned()).spawn(read)?;
        Ok(Self { chunks, chunk: Vec::new(), at: 0, stop })
    }
}

impl Read for Interruptible {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        while self.at == self.chunk.len() {
            if self.stop.load(Ordering::Relaxed) {
                return Ok(0);
            }
            match self.chunks.recv_timeout(INTERVAL) {
                Ok(chunk) => (self.chunk, self.at) = (chunk?, 0),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return Ok(0),
            }
        }
        let mut rest = self.chunk.get(self.at..).unwrap_or_default();
        let n = rest.read(buf)?;
        self.at += n;
        Ok(n)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_comes_and_then_the_end() {
        let bytes: Vec<u8> = (0..1_000_000_u32).map(|n| n as u8).collect();
        let source = Box::new(io::Cursor::new(bytes.clone()));
        let mut read = Vec::new();
        Interruptible::new(source, Arc::default()).unwrap().read_to_end(&mut read).unwrap();
        assert!(read == bytes);
    }

    #[test]
    fn a_silent_source_ends_when_the_flag_is_set() {
        let (reader, writer) = io::pipe().unwrap();
        let stop = Arc::new(AtomicBool::new(false));
        let mut source = Interruptible::new(Box::new(reader), stop.clone()).unwrap();
        let setter = thread::spawn(move || {
            thread::sleep(INTERVAL);
            stop.store(true, Ordering::Relaxed);
        });
        assert_eq!(source.read(&mut [0]).unwrap(), 0);
        setter.join().unwrap();
        drop(writer);
    }

    #[test]
    fn a_fault_is_told_once() {
        struct Faulty;
        impl Read for Faulty {
            fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
                Err(ErrorKind::IsADirectory.into())
            }
        }
        let mut source = Interruptible::new(Box::new(Faulty), Arc::default()).unwrap();
        assert_eq!(source.read(&mut [0]).unwrap_err().kind(), ErrorKind::IsADirectory);
        assert_eq!(source.read(&mut [0]).unwrap(), 0);
    }
}
