//! Counters of an auction.

/// What an auction has done since it was made. All are counts.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Statistics {
    /// Slots that had a winner.
    pub decisions: u64,
    /// Decisions after which the winner stayed first, so that the heap was not touched.
    pub decisions_lazy: u64,
    /// Calls that found no racing bidder.
    pub decisions_idle: u64,
    /// Calls of `bid` on a known bidder.
    pub bids: u64,
    /// Of these: the bid stayed on its grid level, so nothing was done.
    pub bids_unchanged: u64,
    /// Of these: the bid was below its floor, so the bidder does not race.
    pub bids_below_floor: u64,
    /// Bidders added, with or without a residual.
    pub added: u64,
    /// Bidders removed.
    pub removed: u64,
    /// Times a bidder's key was rescaled because its rate changed while it raced.
    pub rescaled: u64,
    /// Times the tick scale moved, each O(racing bidders).
    pub scale_moves: u64,
    /// Racing bidders whose clocks ring beyond the horizon of the heap, now.
    pub far: u64,
}
