//! One line for each figure.

use std::time::Duration;

/// A sample of times.
pub struct Sample(Vec<Duration>);

impl Sample {
    pub fn new(mut times: Vec<Duration>) -> Self {
        assert!(!times.is_empty());
        times.sort_unstable();
        Self(times)
    }

    /// The time that the share `q` of the sample does not exceed.
    pub fn at(&self, q: f64) -> f64 {
        let index = ((self.0.len() - 1) as f64 * q).ceil() as usize;
        self.0[index].as_secs_f64() * 1000.0
    }
}

pub fn head() {
    println!("{:<64} {:>5} {:>10} {:>10} {:>8}", "milliseconds", "n", "p50", "p99", "ratio");
}

/// Prints a sample; returns its median.
pub fn row(what: &str, times: Vec<Duration>) -> f64 {
    line(what, times, None)
}

/// Prints a sample with its ratio to the median of a floor or peer; returns its median.
pub fn against(what: &str, times: Vec<Duration>, other: f64) -> f64 {
    line(what, times, Some(other))
}

fn line(what: &str, times: Vec<Duration>, other: Option<f64>) -> f64 {
    let n = times.len();
    let sample = Sample::new(times);
    let median = sample.at(0.5);
    let ratio = other.map(|other| format!("{:.2}", median / other)).unwrap_or_default();
    println!("{what:<64} {n:>5} {median:>10.3} {:>10.3} {ratio:>8}", sample.at(0.99));
    median
}

/// Prints a single figure.
pub fn figure(what: &str, value: f64, unit: &str) {
    println!("{what:<64} {value:>16.1} {unit}");
}
