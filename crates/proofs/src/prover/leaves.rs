//! The committed columns of a proof and the leaves of its look-up argument.

use rayon::prelude::*;

use super::commit::Data;
use super::gkr::Level;
use crate::extension::Extension;
use crate::field::F;
use crate::forward::Trace;
use crate::layout::{self, Column, Segment};
use crate::mle;
use crate::model::Architecture;

/// The values of a column.
pub(crate) fn column(trace: &Trace, column: Column) -> Data {
    let wide =
        |values: &[u32]| Data::Wide(values.iter().map(|v| F::from_u64(u64::from(*v))).collect());
    match column {
        Column::Quotient(op) => {
            Data::Wide(trace.quotients[op].iter().map(|q| F::from_i64(i64::from(*q))).collect())
        }
        Column::Limb(op, limb) => {
            let narrow = |limb: &u16| i16::try_from(*limb).unwrap_or(i16::MAX);
            Data::Narrow(trace.limbs[op][limb].iter().map(narrow).collect())
        }
        Column::Output(op) => Data::Narrow(trace.tensors[op + 1].clone()),
        Column::TableUses(table) => wide(&trace.table_uses[table]),
        Column::RangeUses => wide(&trace.range_uses),
        Column::Input => Data::Narrow(trace.tensors[0].clone()),
        Column::InputUses => wide(&trace.input_uses),
    }
}

/// The extension of a column at a point.
pub(crate) fn evaluate<E: Extension>(trace: &Trace, name: Column, point: &[E]) -> E {
    match column(trace, name) {
        Data::Narrow(values) => super::layers::evaluate(&values, point),
        Data::Wide(values) => {
            let eq = mle::eq_table(point);
            eq.iter().zip(&values).map(|(weight, value)| weight.scale(*value)).sum()
        }
    }
}

/// All leaves, and the depth of their tree.
pub(crate) fn level<E: Extension>(
    architecture: &Architecture,
    trace: &Trace,
    batch: usize,
    folding: E,
    alpha: E,
) -> (Level<E>, usize) {
    // A trace has counted its input when that is hidden.
    let segments = layout::all_segments(architecture, batch, !trace.input_uses.is_empty());
    let own = E::from_i64(architecture.tables.len() as i64 + 1);
    let input = |value: i64| alpha - own - folding.scale(F::from_i64(value));
    let square = folding * folding;
    let entry = |tag: usize, q: i32, y: i16| {
        let tagged = E::from_i64(tag as i64) + folding.scale(F::from_i64(i64::from(q)));
        alpha - tagged - square.scale(F::from_i64(i64::from(y)))
    };
    let byte = |value: u16| alpha - folding.scale(F::from_u64(u64::from(value)));
    let bytes: Vec<E> = (0..256).map(byte).collect();
    let uses = |count: &u32| -E::from(F::from_u64(u64::from(*count)));
    let (mut p, mut q) = (Vec::with_capacity(segments.len), Vec::with_capacity(segments.len));
    for (segment, log, _) in &segments.parts {
        match segment {
            Segment::TableLookups(op) => {
                let tag = architecture.ops()[*op].table + 1;
                let pairs = trace.quotients[*op].par_iter().zip(&trace.tensors[op + 1]);
                let dens: Vec<E> = pairs
                    .with_min_len(1 << 12)
                    .map(|(quotient, y)| entry(tag, *quotient, *y))
                    .collect();
                q.extend(dens);
            }
            Segment::LimbLookups(op, limb) => {
                let known = |value: &u16| bytes.get(usize::from(*value)).copied();
                let limbs = trace.limbs[*op][*limb].iter();
                q.extend(limbs.map(|value| known(value).unwrap_or_else(|| byte(*value))));
            }
            Segment::Table(id) => {
                let table = &architecture.tables[*id];
                for index in 0..1 << log {
                    let index: usize = index;
                    let (quotient, y) = layout::table_entry(table, index);
                    q.push(entry(id + 1, quotient, y));
                }
                p.resize(q.len() - (1 << log), E::ONE);
                p.extend(trace.table_uses[*id].iter().map(uses));
            }
            Segment::InputLookups => {
                q.extend(trace.tensors[0].iter().map(|value| input(i64::from(*value))));
            }
            Segment::InputRange => {
                let tensor = architecture.input();
                q.extend((0..1 << log).map(|index| input(layout::input_entry(tensor, index))));
                p.resize(q.len() - (1 << log), E::ONE);
                p.extend(trace.input_uses.iter().map(uses));
            }
            Segment::Range => {
                q.extend_from_slice(&bytes);
                p.resize(q.len() - (1 << log), E::ONE);
                p.extend(trace.range_uses.iter().map(uses));
            }
        }
    }
    p.resize(q.len(), E::ONE);
    (Level { p, q }, layout::log2_ceil(segments.len))
}
