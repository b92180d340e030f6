//! The end of an epoch and the end of a cell.

use super::Cell;
use crate::control::{CellEvent, encode};
use crate::error::Result;
use crate::pipe::BACKLOG_BYTES_MAX;
use crate::process::Life;

/// How long a stopping cell waits for its last report to leave, ns.
const LAST_WORDS_NS: u64 = 5_000_000_000;

impl Cell {
    /// Sends what happened in this epoch; in deterministic mode waits for the parent's answer.
    pub(super) fn end_epoch(&mut self, now: u64) -> Result<()> {
        self.epoch += 1;
        self.next_epoch_ns = match now.saturating_sub(self.next_epoch_ns) {
            // A late epoch does not make the next ones late; missed ones are left out.
            late if !self.clock.is_virtual() => {
                let missed = late / self.config.epoch_ns;
                self.next_epoch_ns + (missed + 1) * self.config.epoch_ns
            }
            _ => self.next_epoch_ns + self.config.epoch_ns,
        };
        self.gather();
        self.send_report(false);
        if self.clock.is_virtual() {
            self.await_barrier()?;
        } else {
            self.pipe.flush();
        }
        Ok(())
    }

    fn gather(&mut self) {
        for position in 0..self.alive.len() {
            let index = self.alive[position];
            if self.processes[index].life != Life::Born {
                self.take_sayings(index);
            }
        }
        if self.pipe.backlog() > BACKLOG_BYTES_MAX {
            self.drop_output();
        }
    }

    /// The parent does not keep up: output is dropped and counted, money and deaths are not.
    fn drop_output(&mut self) {
        for event in &mut self.events {
            if let CellEvent::Output { data, lost, .. } = event {
                *lost += data.len() as u64;
                data.clear();
            }
        }
    }

    pub(super) fn send_report(&mut self, last: bool) {
        let report = self.report(last);
        if report.price_mean_ppm > 0 {
            self.shared.set_price_ppm(report.price_mean_ppm);
        }
        self.pipe.send(&encode(&report));
    }

    /// Ends every process and sends the last report.
    pub(super) fn stop(&mut self, outcome: &str, reason: &str) -> Result<()> {
        for index in self.alive.clone() {
            self.end(index, outcome, reason.to_owned())?;
        }
        self.epoch += 1;
        let now = self.clock.now_ns();
        self.book_overhead(now);
        self.send_report(true);
        let start = std::time::Instant::now();
        while self.pipe.backlog() > 0 && !self.pipe.is_closed() {
            self.pipe.wait(100_000_000);
            self.pipe.flush();
            if start.elapsed().as_nanos() > u128::from(LAST_WORDS_NS) {
                break;
            }
        }
        Ok(())
    }
}
