//! `random_get`.

use std::fs::File;
use std::io::{self, Read};

use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

use super::context::WasiContext;
use super::errno::Errno;
use super::memory::{GuestBytes, GuestMemory};
use super::{RandomSource, limits};

/// The generator of a source; the operating system is asked once.
pub(super) fn generator(source: RandomSource) -> io::Result<ChaCha20Rng> {
    let key = match source {
        RandomSource::Seeded(key) => key,
        RandomSource::Os => {
            let mut key = [0; 32];
            File::open("/dev/urandom")?.read_exact(&mut key)?;
            key
        }
    };
    Ok(ChaCha20Rng::from_seed(key))
}

pub(super) fn random_get(
    context: &mut WasiContext,
    memory: &mut GuestMemory<'_>,
    buffer: GuestBytes,
) -> Result<(), Errno> {
    let bytes = memory.slice_mut(buffer)?;
    if buffer.length > limits::CALL_BYTES_MAX {
        return Err(Errno::Inval);
    }
    context.random.fill_bytes(bytes);
    memory.count(buffer.length as usize);
    Ok(())
}
