//! Questions that the kernel resolves itself: streams, fed to a process symbol by symbol.
//!
//! Before a chunk of a stream is revealed (`observe`) the process may publish what it believes of
//! its symbols (`believe`). Each symbol then earns the logarithm of the ratio between the
//! process's probability of it and the public one (an adaptive model of order 0), in units of
//! 2^-32 bit: the prequential code length saved. Without a belief a symbol earns 0 bits.
//!
//! Sixteen κ a symbol are locked from the purse when a belief is fixed, so that no belief can make
//! a debt. Bits are summed over blocks of [`BLOCK_SYMBOLS`] at fixed places of the stream; a block
//! with a negative sum costs its process that stake at once, one with a positive sum is paid by
//! the parent out of the sponsor's escrow. `docs/decisions/0012-information.md` says why.
//!
//! Back of the envelope, a symbol of 256 outcomes: 1 KiB read and summed 100 ns, two logarithms
//! 120 ns, counts 5 ns: 0.2 µs, beside the 10 µs that a model takes to form its belief.

pub mod belief;
pub mod calls;
pub mod logarithm;
pub mod prior;
pub mod text;

use std::collections::VecDeque;
use std::sync::Arc;

use belief::{Belief, Malformed, SYMBOL_BITS_MAX};
use logarithm::{FRACTION_BITS, log2_q32};
use prior::OrderZero;
use text::Text;

use crate::purse::Purse;

/// Symbols of a block: the unit of settlement and payment.
pub const BLOCK_SYMBOLS: usize = 256;
/// Symbols that one `observe` may reveal at most; at most two blocks end in it then.
pub const CHUNK_SYMBOLS_MAX: u32 = 256;
/// Blocks with beliefs that a process may have between two epochs: 256 × 2 KiB.
pub const BLOCKS_QUEUED_MAX: usize = 256;
/// Questions of one process.
pub const QUESTIONS_MAX: usize = 64;

/// Why a belief or an observation was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// No question of this number is fed to this process.
    Unknown,
    /// Not four bytes for each outcome, or a buffer smaller than a chunk.
    Length,
    /// The probabilities do not sum to one.
    Sum,
    /// The question's deadline has passed.
    Late,
    /// The stream has ended: nothing is left to believe.
    Ended,
    /// The sponsor pays no longer.
    Closed,
    /// The purse cannot lock the stake.
    Stake,
    /// The bytes lie outside the guest's memory.
    Memory,
    /// Too many blocks wait for the parent.
    Busy,
}

impl Refusal {
    const ALL: [Self; 9] = [
        Self::Unknown,
        Self::Length,
        Self::Sum,
        Self::Late,
        Self::Ended,
        Self::Closed,
        Self::Stake,
        Self::Memory,
        Self::Busy,
    ];

    /// What people read.
    #[must_use]
    pub fn why(self) -> &'static str {
        match self {
            Self::Unknown => "no question of this number is fed to this process",
            Self::Length => "not four bytes for each outcome",
            Self::Sum => "the probabilities do not sum to one",
            Self::Late => "after the deadline",
            Self::Ended => "after the end of the stream",
            Self::Closed => "the sponsor's escrow is empty",
            Self::Stake => "the purse cannot lock the stake",
            Self::Memory => "outside the guest's memory",
            Self::Busy => "too many blocks wait to be settled",
        }
    }
}

/// What a question is fed from and what it costs.
#[derive(Clone, Debug)]
pub struct Terms {
    /// Its number for the guest.
    pub number: u32,
    /// The stream.
    pub text: Arc<Text>,
    /// Symbols revealed at once, 1 to [`CHUNK_SYMBOLS_MAX`].
    pub chunk: u32,
    /// Credits per bit.
    pub kappa: u64,
    /// No belief counts from then on, ns on the cell's clock.
    pub deadline_ns: Option<u64>,
    /// Whether the sponsor pays.
    pub open: bool,
}

/// A settled block for the parent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Block {
    /// The question's number for the guest.
    pub question: u32,
    /// Position of its first symbol in the stream.
    pub start: u64,
    /// Symbols with a belief.
    pub believed: u32,
    /// Bits won or lost, in units of 2^-32.
    pub bits_q32: i64,
    /// Stake that was lost, credits.
    pub lost: u64,
    /// Probability that each symbol had by the process, little-endian u32 in 1/2^32; 0: no belief.
    pub own: Vec<u8>,
    /// Probability that each symbol had by the public belief, likewise.
    pub public: Vec<u8>,
}

/// A stream as one process meets it.
#[derive(Debug)]
struct Question {
    terms: Terms,
    position: usize,
    prior: OrderZero,
    belief: Belief,
    /// Whether `belief` is fixed for the next chunk.
    fixed: bool,
    /// What is locked for it in the purse.
    stake: u64,
    block: Block,
    refused: [u64; Refusal::ALL.len()],
}

/// The questions of one process.
#[derive(Debug, Default)]
pub struct Questions {
    questions: Vec<Question>,
    said: VecDeque<Block>,
    /// Refusals with a question's number that is not here.
    unknown: u64,
    /// Stake of each result line, credits; the parent gives back what is not lost.
    pub report_stake: u64,
}

impl Questions {
    /// Adds a question to those of the process.
    pub fn add(&mut self, terms: Terms) {
        let prior = OrderZero::new(terms.text.outcomes());
        let block = Block { question: terms.number, ..Block::default() };
        self.questions.push(Question {
            terms,
            position: 0,
            prior,
            belief: Belief::default(),
            fixed: false,
            stake: 0,
            block,
            refused: [0; Refusal::ALL.len()],
        });
    }

    /// Opens or closes a question. A belief that is fixed already still counts.
    pub fn set_open(&mut self, number: u32, open: bool) {
        for question in &mut self.questions {
            if question.terms.number == number {
                question.terms.open = open;
            }
        }
    }

    /// Fixes a belief for the next chunk; a later one replaces it.
    ///
    /// # Errors
    /// [`Refusal`]; counted, and nothing has changed.
    pub fn believe(
        &mut self,
        number: u32,
        bytes: Option<&[u8]>,
        purse: &mut Purse,
        runway: u64,
        now_ns: u64,
    ) -> Result<(), Refusal> {
        let Some(question) = self.find(number) else { return self.refuse_unknown() };
        let fixed = question.fix(bytes, purse, runway, now_ns);
        fixed.inspect_err(|&refusal| question.count(refusal))
    }

    /// Reveals the next chunk: resolves the belief that is fixed and copies the chunk.
    ///
    /// # Errors
    /// [`Refusal`]; counted, and nothing was revealed.
    pub fn observe(
        &mut self,
        number: u32,
        buffer: Option<&mut [u8]>,
        purse: &mut Purse,
    ) -> Result<usize, Refusal> {
        let waiting = self.said.len();
        let Some(question) = self.questions.iter_mut().find(|q| q.terms.number == number) else {
            return self.refuse_unknown();
        };
        let chunk = question.next_chunk();
        let refusal = match buffer {
            None => Refusal::Memory,
            // A block at most ends in a chunk besides the one that it begins in.
            Some(_) if waiting + 2 > BLOCKS_QUEUED_MAX => Refusal::Busy,
            Some(buffer) if buffer.len() < chunk => Refusal::Length,
            Some(buffer) => {
                buffer[..chunk].copy_from_slice(question.upcoming(chunk));
                question.reveal(chunk, purse, &mut self.said);
                return Ok(chunk);
            }
        };
        question.count(refusal);
        Err(refusal)
    }

    /// The end of the process: beliefs that were never resolved are void, blocks that were begun
    /// are settled, and what is left of the stakes is unlocked.
    pub fn close(&mut self, purse: &mut Purse) {
        for question in &mut self.questions {
            question.fixed = false;
            question.end_block(purse, &mut self.said);
            purse.unlock_stake(std::mem::take(&mut question.stake));
        }
        debug_assert_eq!(purse.stake, 0, "every stake belongs to a question");
    }

    /// The blocks settled since the last call.
    pub fn take_blocks(&mut self) -> impl Iterator<Item = Block> + '_ {
        self.said.drain(..)
    }

    /// Refusals since the last call: question, why, how often.
    pub fn take_refusals(&mut self) -> Vec<(Option<u32>, &'static str, u64)> {
        let mut taken = Vec::new();
        if self.unknown > 0 {
            let count = std::mem::take(&mut self.unknown);
            taken.push((None, Refusal::Unknown.why(), count));
        }
        for question in &mut self.questions {
            for (refusal, count) in Refusal::ALL.iter().zip(&mut question.refused) {
                if *count > 0 {
                    let count = std::mem::take(count);
                    taken.push((Some(question.terms.number), refusal.why(), count));
                }
            }
        }
        taken
    }

    fn find(&mut self, number: u32) -> Option<&mut Question> {
        self.questions.iter_mut().find(|question| question.terms.number == number)
    }

    fn refuse_unknown<T>(&mut self) -> Result<T, Refusal> {
        self.unknown += 1;
        Err(Refusal::Unknown)
    }
}

impl Question {
    fn count(&mut self, refusal: Refusal) {
        // A guest meets the end by believing beyond it: no fault of its belief.
        if refusal == Refusal::Ended {
            return;
        }
        if let Some(place) = Refusal::ALL.iter().position(|&known| known == refusal) {
            self.refused[place] += 1;
        }
    }

    fn next_chunk(&self) -> usize {
        let left = self.terms.text.bytes().len() - self.position;
        left.min(self.terms.chunk as usize)
    }

    fn upcoming(&self, chunk: usize) -> &[u8] {
        &self.terms.text.bytes()[self.position..self.position + chunk]
    }

    fn fix(
        &mut self,
        bytes: Option<&[u8]>,
        purse: &mut Purse,
        runway: u64,
        now_ns: u64,
    ) -> Result<(), Refusal> {
        let chunk = self.next_chunk();
        if chunk == 0 {
            return Err(Refusal::Ended);
        }
        if self.terms.deadline_ns.is_some_and(|deadline_ns| now_ns >= deadline_ns) {
            return Err(Refusal::Late);
        }
        if !self.terms.open {
            return Err(Refusal::Closed);
        }
        let bytes = bytes.ok_or(Refusal::Memory)?;
        let mut belief = std::mem::take(&mut self.belief);
        let read = belief.read(bytes, self.terms.text.outcomes());
        self.belief = belief;
        read.map_err(|malformed| match malformed {
            Malformed::Length => Refusal::Length,
            Malformed::Sum => Refusal::Sum,
        })?;
        if self.fixed {
            return Ok(());
        }
        let stake = self.symbol_stake().saturating_mul(chunk as u64);
        if !purse.lock_stake(stake, runway) {
            return Err(Refusal::Stake);
        }
        self.stake += stake;
        self.fixed = true;
        Ok(())
    }

    fn symbol_stake(&self) -> u64 {
        self.terms.kappa.saturating_mul(SYMBOL_BITS_MAX)
    }

    /// Resolves the next `chunk` symbols.
    fn reveal(&mut self, chunk: usize, purse: &mut Purse, said: &mut VecDeque<Block>) {
        for _ in 0..chunk {
            let outcome = self.terms.text.outcome(self.position);
            let public = self.prior.probability(outcome);
            let own = if self.fixed { self.belief.probability(outcome) } else { 0 };
            let block = &mut self.block;
            if self.fixed {
                block.believed += 1;
                block.bits_q32 += difference(log2_q32(own), log2_q32(public));
            }
            block.own.extend_from_slice(&own.to_le_bytes());
            block.public.extend_from_slice(&public.to_le_bytes());
            self.prior.see(outcome);
            self.position += 1;
            if self.position.is_multiple_of(BLOCK_SYMBOLS) {
                self.end_block(purse, said);
            }
        }
        self.fixed = false;
        // What stays locked is what the block has lost so far; the next symbols add theirs.
        let needed = loss_credits(self.terms.kappa, self.block.bits_q32);
        debug_assert!(needed <= self.stake || self.terms.kappa == 0, "a stake covers its losses");
        let free = self.stake.saturating_sub(needed);
        self.stake -= free;
        purse.unlock_stake(free);
    }

    /// Settles the block that was begun: a negative sum costs its stake now.
    fn end_block(&mut self, purse: &mut Purse, said: &mut VecDeque<Block>) {
        let next =
            Block { question: self.terms.number, start: self.position as u64, ..Block::default() };
        let mut block = std::mem::replace(&mut self.block, next);
        if block.believed == 0 {
            return;
        }
        let loss = loss_credits(self.terms.kappa, block.bits_q32).min(self.stake);
        block.lost = purse.lose_stake(loss);
        self.stake -= block.lost;
        said.push_back(block);
    }
}

/// What `bits` cost at κ credits a bit when they are negative, rounded up.
///
/// Rounding up keeps it within the stake: ceil(a + b) ≤ ceil(a) + b for whole b, and a symbol
/// adds less than 16 bits.
#[must_use]
pub fn loss_credits(kappa: u64, bits_q32: i64) -> u64 {
    if bits_q32 >= 0 {
        return 0;
    }
    let loss = u128::from(kappa) * u128::from(bits_q32.unsigned_abs());
    u64::try_from(loss.div_ceil(1 << FRACTION_BITS)).unwrap_or(u64::MAX)
}

fn difference(a: u64, b: u64) -> i64 {
    // Logarithms of 32-bit numbers are below 2^37.
    a.cast_signed() - b.cast_signed()
}

#[cfg(test)]
mod tests;
