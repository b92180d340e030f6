//! The end of an epoch and the end of a cell.

use super::Cell;
use crate::control::{REPORT_EVENT_BYTES, encode};
use crate::error::Result;
use crate::pipe::BACKLOG_BYTES_MAX;

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
        let mut callers = std::mem::take(&mut self.callers);
        // In the order of their births, whoever ran first.
        callers.sort_unstable();
        // A parent that does not keep up: what guests say stays in their bounded queues, which
        // then refuse results and lose output; deaths and money still go.
        let keeps_up = self.pipe.backlog() <= BACKLOG_BYTES_MAX;
        callers.retain(|&index| {
            // The last words of the dead were taken at their deaths.
            let asked = keeps_up && !self.processes[index].is_dead();
            if asked {
                self.take_sayings(index);
            }
            !(asked || self.processes[index].is_dead())
        });
        self.callers = callers;
    }

    pub(super) fn send_report(&mut self, last: bool) {
        let mut report = self.report(last);
        if report.price_mean_ppm > 0 {
            self.shared.set_price_ppm(report.price_mean_ppm);
        }
        // A report stays small however many guests print: what is more follows in further ones.
        let mut rest = std::mem::take(&mut report.events).into_iter().peekable();
        loop {
            let mut bytes = 0;
            while let Some(event) = rest.next_if(|event| {
                bytes += event.size();
                bytes <= REPORT_EVENT_BYTES || report.events.is_empty()
            }) {
                report.events.push(event);
            }
            report.more = rest.peek().is_some();
            report.last = last && !report.more;
            self.pipe.send(&encode(&report));
            if !report.more {
                return;
            }
            report.events.clear();
        }
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
