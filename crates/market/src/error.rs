//! The one error type of the crate.

use core::fmt;

/// Why the auction refused a call. No variant leaves a half-made change behind.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AuctionError {
    /// Cause: `temperature_log2` above [`crate::TEMPERATURE_LOG2_MAX`]. State: no auction was
    /// made. Do: configure a temperature of 2^-4 ..= 1.
    TemperatureOutOfRange {
        /// The exponent that was asked for.
        temperature_log2: u8,
    },
    /// Cause: a reserve of zero or above [`crate::RESERVE_PPM_MAX`]. State: unchanged. Do: give a
    /// reserve in ppm (1,000,000 is the cost price).
    ReserveOutOfRange {
        /// The reserve that was asked for, ppm.
        reserve_ppm: u64,
    },
    /// Cause: a clearing price rho above [`crate::RESERVE_PPM_MAX`]. State: unchanged. Do: bound
    /// the price controller.
    RhoOutOfRange {
        /// The price that was asked for, ppm.
        rho_ppm: u64,
    },
    /// Cause: a quality outside [`crate::QUALITY_PPM_MIN`]`..=`[`crate::QUALITY_PPM_MAX`].
    /// State: unchanged. Do: clip the quality at settlement.
    QualityOutOfRange {
        /// The quality that was asked for, ppm.
        quality_ppm: u64,
    },
    /// Cause: the id names no bidder of this auction (never added, or removed). State:
    /// unchanged. Do: drop the id; it may be given to another account later.
    UnknownBidder {
        /// The index of the id.
        index: u32,
    },
    /// Cause: the account already bids here; an account has one clock per cell. State:
    /// unchanged. Do: bid through the existing id.
    AccountPresent {
        /// The account.
        account: u64,
    },
    /// Cause: [`crate::BIDDERS_MAX`] bidders are present. State: unchanged. Do: place the
    /// account on another cell.
    Full,
    /// Cause: a residual above [`crate::RESIDUAL_MAX`], which no draw can reach. State:
    /// unchanged. Do: discard the corrupt record.
    ResidualOutOfRange {
        /// The residual, in 2^-57 units.
        e: u64,
    },
}

impl fmt::Display for AuctionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::TemperatureOutOfRange { temperature_log2 } => {
                write!(f, "temperature 2^-{temperature_log2} is outside 2^-4 ..= 1")
            }
            Self::ReserveOutOfRange { reserve_ppm } => {
                write!(f, "reserve is zero or above 2^54 ppm: {reserve_ppm}")
            }
            Self::RhoOutOfRange { rho_ppm } => {
                write!(f, "clearing price is above 2^54 ppm: {rho_ppm}")
            }
            Self::QualityOutOfRange { quality_ppm } => {
                write!(f, "quality is outside 125000 ..= 8000000 ppm: {quality_ppm}")
            }
            Self::UnknownBidder { index } => write!(f, "no bidder has this id: {index}"),
            Self::AccountPresent { account } => {
                write!(f, "account already has a clock on this cell: {account}")
            }
            Self::Full => write!(f, "auction is full"),
            Self::ResidualOutOfRange { e } => {
                write!(f, "residual is larger than any draw: {e}")
            }
        }
    }
}

impl core::error::Error for AuctionError {}

#[cfg(test)]
mod tests {
    use super::AuctionError;
    use alloc::string::ToString;

    // Goal: every variant has a message that names the offending value.
    #[test]
    fn messages_name_the_value() {
        let cases = [
            (AuctionError::TemperatureOutOfRange { temperature_log2: 77 }, "77"),
            (AuctionError::ReserveOutOfRange { reserve_ppm: 78 }, "78"),
            (AuctionError::RhoOutOfRange { rho_ppm: 79 }, "79"),
            (AuctionError::QualityOutOfRange { quality_ppm: 80 }, "80"),
            (AuctionError::UnknownBidder { index: 81 }, "81"),
            (AuctionError::AccountPresent { account: 82 }, "82"),
            (AuctionError::Full, "full"),
            (AuctionError::ResidualOutOfRange { e: 83 }, "83"),
        ];
        for (error, needle) in cases {
            assert!(error.to_string().contains(needle), "{error:?}");
        }
    }
}
