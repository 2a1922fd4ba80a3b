//! Samples of one thing, and how two of them compare.

use serde::Serialize;

/// The median of some samples and how far they lie apart.
#[derive(Clone, Copy, Serialize)]
pub struct Samples {
    pub median: f64,
    pub min: f64,
    pub max: f64,
}

impl Samples {
    pub fn of(mut all: Vec<f64>) -> Self {
        all.sort_by(f64::total_cmp);
        let at = |i: usize| round(all[i]);
        Self { median: at(all.len() / 2), min: at(0), max: at(all.len() - 1) }
    }
}

/// Something without and with an observer, measured in turn.
#[derive(Serialize)]
pub struct SideBySide {
    pub rounds: usize,
    pub seconds_without: Samples,
    pub seconds_with: Samples,
    /// By how much the medians differ.
    pub overhead_percent: f64,
    /// By how much the samples without differ among themselves.
    pub noise_percent: f64,
}

impl SideBySide {
    pub fn of(without: Vec<f64>, with: Vec<f64>) -> Self {
        let rounds = without.len();
        let (seconds_without, seconds_with) = (Samples::of(without), Samples::of(with));
        let percent = |part: f64| round(part / seconds_without.median * 100.0);
        Self {
            rounds,
            seconds_without,
            seconds_with,
            overhead_percent: percent(seconds_with.median - seconds_without.median),
            noise_percent: percent(seconds_without.max - seconds_without.min),
        }
    }
}

/// To three places.
pub fn round(x: f64) -> f64 {
    (x * 1000.0).round() / 1000.0
}
