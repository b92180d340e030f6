//! The operator price table: fuel per WebAssembly operator and per host call.
//!
//! Fuel is a deterministic count of work, not a price in joules: the energy model turns fuel,
//! nanoseconds, bytes and calls into joules. A plain integer operator costs [`PLAIN`]; what a
//! compiler mostly removes (locals, constants) costs less, what keeps a core busy for tens of
//! cycles (division, square root, indirect calls) costs more. Costs are charged before the
//! operator runs, bulk operators by the byte. Sources: instruction latencies of x86-64 server
//! cores, rounded; the table is compiled into the code, so its version is part of every cache key.

use wasmtime::{OperatorCost, VariableOperatorCost};

/// Version of the table; it changes whenever any price changes.
pub const PRICE_TABLE_VERSION: u32 = 1;
/// Fuel of a plain integer operator.
pub const PLAIN: u8 = 8;
/// Fuel of an operator that a compiler mostly folds away.
const FOLDED: u8 = 2;
/// Fuel of a load or store: an address, a bounds check and an L1 access.
const MEMORY: u8 = 12;
/// Fuel per byte of a bulk memory operator.
const BULK_BYTE: u8 = 2;
/// Fuel per element of a bulk table operator.
const BULK_ELEMENT: u8 = 4;

/// Fuel of any host call, besides the bytes it moves.
pub const HOST_CALL_FUEL: u64 = 4_000;
/// Fuel of each byte that a host call moves.
pub const HOST_BYTE_FUEL: u64 = BULK_BYTE as u64;

/// The table of this version.
#[must_use]
pub fn operator_cost() -> OperatorCost {
    let mut cost = scaled();
    folded(&mut cost);
    slow(&mut cost);
    cost.variable = VariableOperatorCost {
        memory_copy_per_byte: BULK_BYTE,
        memory_fill_per_byte: BULK_BYTE,
        memory_init_per_byte: BULK_BYTE,
        memory_grow_per_page: u8::MAX,
        table_copy_per_element: BULK_ELEMENT,
        table_fill_per_element: BULK_ELEMENT,
        table_init_per_element: BULK_ELEMENT,
        table_grow_per_element: BULK_ELEMENT,
        ..VariableOperatorCost::new()
    };
    cost
}

macro_rules! define_scaled {
    ($(@$proposal:ident $op:ident $({ $($arg:ident: $argty:ty),* })? => $visit:ident ($($ann:tt)*))*) => {
        /// The engine's default table (0 or 1 an operator) times [`PLAIN`].
        fn scaled() -> OperatorCost {
            let mut cost = OperatorCost::new();
            $(cost.$op *= operator_scale(stringify!($op));)*
            cost
        }
    };
}
wasmparser::for_each_operator!(define_scaled);

fn operator_scale(name: &str) -> u8 {
    if name.contains("Load") || name.contains("Store") { MEMORY } else { PLAIN }
}

fn folded(cost: &mut OperatorCost) {
    for slot in [
        &mut cost.LocalGet,
        &mut cost.LocalSet,
        &mut cost.LocalTee,
        &mut cost.I32Const,
        &mut cost.I64Const,
        &mut cost.F32Const,
        &mut cost.F64Const,
        &mut cost.I32WrapI64,
        &mut cost.I64ExtendI32U,
    ] {
        *slot = FOLDED;
    }
}

fn slow(cost: &mut OperatorCost) {
    for slot in [
        &mut cost.I32DivS,
        &mut cost.I32DivU,
        &mut cost.I32RemS,
        &mut cost.I32RemU,
        &mut cost.I64DivS,
        &mut cost.I64DivU,
        &mut cost.I64RemS,
        &mut cost.I64RemU,
        &mut cost.F32Div,
        &mut cost.F64Div,
        &mut cost.F32Sqrt,
        &mut cost.F64Sqrt,
    ] {
        *slot = 64;
    }
    cost.Call = 24;
    cost.CallIndirect = 40;
    cost.ReturnCall = 24;
    cost.ReturnCallIndirect = 40;
    cost.BrTable = 24;
    cost.MemoryGrow = u8::MAX;
    cost.TableGrow = u8::MAX;
    cost.Throw = u8::MAX;
    cost.ThrowRef = u8::MAX;
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Goal: the table says what the documentation says.
    #[test]
    fn plain_operators_cost_eight() {
        let cost = operator_cost();
        assert_eq!(cost.I32Add, PLAIN);
        assert_eq!(cost.I64Xor, PLAIN);
        assert_eq!(cost.I32Load, MEMORY);
        assert_eq!(cost.F64Store, MEMORY);
        assert_eq!(cost.Nop, 0);
        assert_eq!(cost.LocalGet, FOLDED);
        assert_eq!(cost.variable.memory_fill_per_byte, BULK_BYTE);
    }
}
