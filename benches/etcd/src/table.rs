//! The table of medians of both systems, side by side.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use crate::load::{Kind, Measured};

/// The measurements of each system and load.
#[derive(Debug, Default)]
pub(crate) struct Table(BTreeMap<(Kind, usize), BTreeMap<&'static str, Vec<Measured>>>);

fn median<T: PartialOrd + Copy>(mut of: Vec<T>) -> T {
    of.sort_by(|one, other| one.partial_cmp(other).expect("no measurement is NaN"));
    of[of.len() / 2]
}

impl Table {
    pub(crate) fn add(&mut self, of: &'static str, kind: Kind, clients: usize, one: Measured) {
        self.0.entry((kind, clients)).or_default().entry(of).or_default().push(one);
    }
}

fn micros(span: Duration) -> String {
    format!("{:.0} µs", span.as_secs_f64() * 1e6)
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "| | clients | | per second | p50 | p99 | CPU of nodes, cores |")?;
        writeln!(f, "|---|---|---|---|---|---|---|")?;
        for ((kind, clients), measured) in &self.0 {
            let mut rates = Vec::new();
            let mut halves = Vec::new();
            for (of, all) in measured {
                let rate = median(all.iter().map(|one| one.per_second).collect());
                let p50 = median(all.iter().map(|one| one.p50).collect());
                let p99 = median(all.iter().map(|one| one.p99).collect());
                let cpu = median(all.iter().map(|one| one.cpu).collect());
                let (half, most) = (micros(p50), micros(p99));
                writeln!(
                    f,
                    "| {kind} | {clients} | {of} | {rate:.0} | {half} | {most} | {cpu:.2} |"
                )?;
                rates.push(rate);
                halves.push(p50.as_secs_f64());
            }
            if let ([etcd, quorate], [half, own_half]) = (&rates[..], &halves[..]) {
                let (rate, half) = (quorate / etcd, own_half / half);
                writeln!(f, "| | | ratio | {rate:.1} × | {half:.2} × | | |")?;
            }
        }
        Ok(())
    }
}
