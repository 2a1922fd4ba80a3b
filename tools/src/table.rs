//! Progress of a live observation: a table on a terminal, a line now and then elsewhere.
//!
//! Not here: the summary at the end.

use std::time::{Duration, Instant};

use grove::Engine;
use grove::ledger::Ledger;
use grove_probes::live::{Container, Live};
use indicatif::{HumanBytes, HumanCount, ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::feed::{counted, print_status};
use grove::text::escape;

/// How often the table is drawn anew.
const TABLE_INTERVAL: Duration = Duration::from_secs(1);

/// How often there is a line.
const LINE_INTERVAL: Duration = Duration::from_secs(10);

/// Containers in the table: the busiest.
const ROWS: usize = 16;

/// Characters of an id that are shown, as runtimes do.
const ID_SHOWN: usize = 12;

/// What is shown of a live engine.
pub(crate) struct Table {
    /// `None` where standard error is no terminal.
    bar: Option<ProgressBar>,
    interval: Duration,
    drawn: Instant,
    before: Ledger,
}

impl Table {
    /// Begins to show.
    pub(crate) fn start() -> Self {
        let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
        let bar = (!bar.is_hidden()).then(|| {
            bar.with_style(ProgressStyle::with_template("{msg}").unwrap_or_else(|_| ProgressStyle::default_bar()))
        });
        let interval = if bar.is_some() { TABLE_INTERVAL } else { LINE_INTERVAL };
        Self { bar, interval, drawn: Instant::now(), before: Ledger::default() }
    }

    /// Shows how things stand, if it is time to.
    pub(crate) fn update(&mut self, live: &Live, engine: &Engine) {
        let elapsed = self.drawn.elapsed();
        if elapsed < self.interval {
            return;
        }
        self.drawn = Instant::now();
        let now = engine.ledger();
        let head = head(&now, &self.before, elapsed, live.containers().iter().filter(|c| !c.gone).count());
        self.before = now;
        match &self.bar {
            None => print_status(&head),
            Some(bar) => bar.set_message(format!("{head}\n{}", rows(live.containers().iter()))),
        }
    }
}

impl Drop for Table {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

/// How things stand, in a line.
fn head(now: &Ledger, before: &Ledger, elapsed: Duration, containers: usize) -> String {
    let rate = |now: u64, before: u64| {
        let per_second = now.saturating_sub(before) as f64 / elapsed.as_secs_f64().max(1e-9);
        HumanCount(per_second as u64)
    };
    let memory = resident_bytes().map_or_else(|| "?".to_owned(), |bytes| HumanBytes(bytes).to_string());
    format!(
        "{}, {} events/s, {} new/s, {} lost, {memory}",
        counted(containers, "container", "containers"),
        rate(now.received, before.received),
        rate(now.applied_new, before.applied_new),
        HumanCount(now.dropped_total()),
    )
}

/// The busiest containers, one a line.
fn rows<'a>(containers: impl Iterator<Item = &'a Container>) -> String {
    let mut all: Vec<_> = containers.filter(|container| !container.gone).collect();
    all.sort_by(|a, b| b.events.cmp(&a.events).then_with(|| a.id.cmp(&b.id)));
    let mut text = format!("{:<ID_SHOWN$}  {:>12}  IMAGE", "CONTAINER", "EVENTS");
    for container in all.iter().take(ROWS) {
        let id = String::from_utf8_lossy(&container.id);
        let id = escape(&id).chars().take(ID_SHOWN).collect::<String>();
        let image = container.workload.as_ref().map_or_else(
            || "?".to_owned(),
            |workload| format!("{}:{}", escape(&workload.image), escape(&workload.tag)),
        );
        text.push_str(&format!("\n{id:<ID_SHOWN$}  {:>12}  {image}", HumanCount(container.events).to_string()));
    }
    if let Some(more) = all.len().checked_sub(ROWS).filter(|more| *more > 0) {
        text.push_str(&format!("\n… and {more} more"));
    }
    text
}

/// Memory of this process that is in use.
fn resident_bytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok().map(|kib| kib << 10)
}

#[cfg(test)]
mod tests {
    use super::*;
    use grove::ledger::{Dropped, Fate};

    #[test]
    fn the_head_tells_rates_and_losses() {
        let (mut before, mut now) = (Ledger::default(), Ledger::default());
        before.count_many(Fate::New, 10);
        now.count_many(Fate::New, 30);
        now.count_many(Fate::Known, 19_970);
        now.count_many(Fate::Dropped(Dropped::RingFullOpen), 7);
        let line = head(&now, &before, Duration::from_secs(2), 3);
        assert!(line.starts_with("3 containers, 9,998 events/s, 10 new/s, 7 lost, "), "{line}");
        assert!(line.ends_with("iB"), "{line}");
    }
}
