//! A progress bar on standard error for reading something long, where standard error is a terminal.
//!
//! Whoever reads counts bytes in an atomic and knows nothing of the bar; a thread looks at it ten times a second.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use grove::text::escape;

const WITH_TOTAL: &str = "{prefix} {wide_bar} {bytes}/{total_bytes} {bytes_per_sec} ETA {eta}";
const WITHOUT_TOTAL: &str = "{prefix} {spinner} {bytes} {bytes_per_sec} {elapsed}";
const INTERVAL: Duration = Duration::from_millis(100);

/// A bar that is shown until this is dropped.
pub(crate) struct Progress {
    bar: ProgressBar,
    watcher: Option<(Sender<()>, JoinHandle<()>)>,
}

impl Progress {
    /// Shows how far `read`, a count of bytes, has come on its way to `total`, where that is known. `label` names what
    /// is read; it may be hostile.
    pub(crate) fn start(label: &str, read: Arc<AtomicU64>, total: Option<u64>) -> Self {
        Self::on(ProgressDrawTarget::stderr(), label, read, total)
    }

    fn on(target: ProgressDrawTarget, label: &str, read: Arc<AtomicU64>, total: Option<u64>) -> Self {
        let bar = ProgressBar::with_draw_target(total, target)
            .with_style(style(total.is_some()))
            .with_prefix(escape(label).into_owned());
        if bar.is_hidden() {
            return Self { bar, watcher: None };
        }
        let (stop, stopped) = mpsc::channel();
        let watched = bar.clone();
        let watch = move || {
            while stopped.recv_timeout(INTERVAL) == Err(RecvTimeoutError::Timeout) {
                watched.set_position(read.load(Ordering::Relaxed));
                watched.tick();
            }
        };
        // Without a thread to be had there is no bar, and that is all there is not.
        let thread = thread::Builder::new().name("progress".to_owned()).spawn(watch).ok();
        Self { bar, watcher: thread.map(|thread| (stop, thread)) }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Some((stop, thread)) = self.watcher.take() {
            drop(stop);
            let _ = thread.join();
        }
        self.bar.finish_and_clear();
    }
}

fn style(total_known: bool) -> ProgressStyle {
    let template = if total_known { WITH_TOTAL } else { WITHOUT_TOTAL };
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use indicatif::InMemoryTerm;

    use super::*;

    /// What is on the screen once it satisfies `enough`, or after ten seconds.
    fn screen(total: Option<u64>, enough: fn(&str) -> bool) -> (String, String) {
        let term = InMemoryTerm::new(10, 100);
        let read = Arc::new(AtomicU64::new(0));
        let target = ProgressDrawTarget::term_like(Box::new(term.clone()));
        let progress = Progress::on(target, "tr\x1bace", read.clone(), total);
        read.store(3 << 20, Ordering::Relaxed);
        let start = Instant::now();
        while !enough(&term.contents()) && start.elapsed() < Duration::from_secs(10) {
            thread::sleep(Duration::from_millis(10));
        }
        let during = term.contents();
        drop(progress);
        (during, term.contents())
    }

    #[test]
    fn shows_bytes_total_and_rate_and_leaves_nothing_behind() {
        let (during, after) = screen(Some(12 << 20), |s| s.contains("3.00 MiB/12.00 MiB"));
        assert!(during.starts_with(r"tr\u{1b}ace "), "{during}");
        for part in ["3.00 MiB/12.00 MiB", "/s ", " ETA "] {
            assert!(during.contains(part), "{part}: {during}");
        }
        assert_eq!(after, "");
    }

    #[test]
    fn without_a_total_it_shows_what_it_knows() {
        let (during, after) = screen(None, |s| s.contains("3.00 MiB"));
        assert!(during.contains("3.00 MiB") && !during.contains("ETA"), "{during}");
        assert_eq!(after, "");
    }

    #[test]
    fn where_nobody_looks_there_is_no_thread() {
        let progress = Progress::on(ProgressDrawTarget::hidden(), "x", Arc::default(), Some(1));
        assert!(progress.watcher.is_none());
    }

    #[test]
    fn templates_are_valid() {
        assert!([WITH_TOTAL, WITHOUT_TOTAL].iter().all(|t| ProgressStyle::with_template(t).is_ok()));
    }

    #[test]
    fn starting_and_stopping_needs_no_terminal() {
        drop(Progress::start("x", Arc::default(), None));
    }
}
