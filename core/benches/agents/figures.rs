//! What one turn costs, and the row in which two ways of it stand side by side.

/// One turn, or the median of some.
#[derive(Debug, Clone, Copy)]
pub struct Figures {
    /// From the order to the answer.
    pub milliseconds: f64,
    /// Memory of all its processes, each at its highest.
    pub mib: f64,
}

impl Figures {
    /// Of the first turn only the effects are wanted: everything is in the page cache then.
    pub fn median(turns: &[Self]) -> Self {
        let of = |pick: fn(&Self) -> f64| {
            let mut all: Vec<f64> = turns[1..].iter().map(pick).collect();
            all.sort_by(f64::total_cmp);
            all[all.len() / 2]
        };
        Self { milliseconds: of(|turn| turn.milliseconds), mib: of(|turn| turn.mib) }
    }
}

pub const HEAD: &str = "                alone ms   ours ms  ratio   alone MiB  ours MiB  ratio";

/// One line of the table below [`HEAD`].
pub fn row(id: &str, alone: Figures, ours: Figures) -> String {
    let (time, memory) = (ours.milliseconds / alone.milliseconds, ours.mib / alone.mib);
    format!(
        "{id:<14} {:>9.0} {:>9.0} {time:>6.2}   {:>9.0} {:>9.0} {memory:>6.2}",
        alone.milliseconds, ours.milliseconds, alone.mib, ours.mib
    )
}
