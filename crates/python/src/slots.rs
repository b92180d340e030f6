//! Purses and meters for Python: whole records, read in batches.

use std::path::PathBuf;

use maxwell_kernel::slots;
use pyo3::prelude::*;

use crate::errors::{guarded, to_py};

macro_rules! slot {
    ($($field:ident),* $(,)?) => {
        /// One process's slot, as last published by its cell.
        #[pyclass(frozen, get_all, module = "maxwell._native")]
        pub(crate) struct Slot {
            purse: u64,
            escrow: u64,
            bond: u64,
            funded: u64,
            burned: u64,
            premium: u64,
            rent: u64,
            tax: u64,
            sent: u64,
            returned: u64,
            stake: u64,
            staked: u64,
            memory_byte_ns: u128,
            $($field: u64,)*
        }

        impl From<slots::Record> for Slot {
            fn from(record: slots::Record) -> Self {
                let purse = record.purse;
                let high = u128::from(record.memory_byte_ns_high) << 64;
                Self {
                    purse: purse.free,
                    escrow: purse.escrow,
                    bond: purse.bond,
                    funded: purse.funded,
                    burned: purse.burned,
                    premium: purse.premium,
                    rent: purse.rent,
                    tax: purse.tax,
                    sent: purse.sent,
                    returned: purse.returned,
                    stake: purse.stake,
                    staked: purse.staked,
                    memory_byte_ns: high | u128::from(record.memory_byte_ns_low),
                    $($field: record.$field,)*
                }
            }
        }
    };
}

slot!(
    pid,
    state,
    energy_uj,
    uncollected_uj,
    rent_unpaid,
    fuel,
    cpu_ns,
    bytes,
    calls,
    slices,
    wins,
    memory_bytes,
    memory_bytes_max,
    erased_bits,
    freed_bytes,
    discarded_bytes,
    tax_unpaid,
    bid_ppm,
    price_ppm,
    born_ns,
    died_ns,
    stdout_bytes,
    lost_bytes,
    reports,
    bankrupt_ns,
);

/// The mapping with all slots of a run.
#[pyclass(frozen, module = "maxwell._native")]
pub(crate) struct Slots(slots::Slots);

#[pymethods]
impl Slots {
    #[staticmethod]
    fn create(py: Python<'_>, path: PathBuf, capacity: usize) -> PyResult<Self> {
        guarded(py, move || slots::Slots::create(&path, capacity)).map(Self)
    }

    #[staticmethod]
    fn open(py: Python<'_>, path: PathBuf) -> PyResult<Self> {
        guarded(py, move || slots::Slots::open(&path)).map(Self)
    }

    #[getter]
    fn capacity(&self) -> usize {
        self.0.capacity()
    }

    fn read(&self, slot: usize) -> PyResult<Slot> {
        self.0.read(slot).map(Slot::from).ok_or_else(|| {
            to_py(&maxwell_kernel::KernelError::Protocol(format!("slot {slot} cannot be read")))
        })
    }

    fn read_many(&self, slots: Vec<usize>) -> PyResult<Vec<Slot>> {
        slots.into_iter().map(|slot| self.read(slot)).collect()
    }
}
