//! The last step of the look-up argument: the leaves are what tables and committed columns say.

use super::channel::{Channel, Value};
use super::gkr::Leaves;
use crate::error::Result;
use crate::extension::Extension;
use crate::field::F;
use crate::layout::{self, Block, Column, Segment, Segments};
use crate::mle;
use crate::model::Architecture;

/// Checks the claimed leaves against the claimed columns and the public tables.
#[allow(clippy::too_many_arguments, reason = "one equation over everything the argument is about")]
pub(crate) fn check<E: Extension, C: Channel<E>>(
    channel: &mut C,
    architecture: &Architecture,
    segments: &Segments,
    leaves: &Leaves<E, C::Value>,
    blocks: &[(Column, Block)],
    values: &[C::Value],
    folding: E,
    alpha: E,
) -> Result<()> {
    let value = |column: Column| {
        let found = blocks.iter().position(|(name, _)| *name == column);
        found.and_then(|index| values.get(index)).ok_or_else(super::missing)
    };
    let square = folding * folding;
    // Bytes have the tag 0, tables those from 1 on, the values of the input the next.
    let input_tag = E::from_i64(architecture.tables.len() as i64 + 1);
    let public = |element: E| C::Value::public(element);
    let mut numerator = public(E::ZERO);
    let mut denominator = public(E::ZERO);
    let mut covered = E::ZERO;
    for (segment, log, first) in &segments.parts {
        let (low, high) = leaves.point.split_at(*log);
        let weight = mle::eq_index(high, first >> log);
        covered += weight;
        let (p, q) = match segment {
            Segment::TableLookups(op) => {
                let tag = E::from_i64(architecture.ops()[*op].table as i64 + 1);
                let looked_up = value(Column::Quotient(*op))?.times(folding)
                    + value(Column::Output(*op))?.times(square);
                (public(E::ONE), public(alpha - tag) - looked_up)
            }
            Segment::LimbLookups(op, limb) => {
                let looked_up = value(Column::Limb(*op, *limb))?.times(folding);
                (public(E::ONE), public(alpha) - looked_up)
            }
            Segment::Table(id) => {
                let tag = E::from_i64(*id as i64 + 1);
                let (q, y) = table_at(architecture, *id, low);
                let uses = value(Column::TableUses(*id))?.times(-E::ONE);
                (uses, public(alpha - tag - folding * q - square * y))
            }
            Segment::InputLookups => {
                let looked_up = value(Column::Input)?.times(folding);
                (public(E::ONE), public(alpha - input_tag) - looked_up)
            }
            Segment::InputRange => {
                let uses = value(Column::InputUses)?.times(-E::ONE);
                (uses, public(alpha - input_tag - folding * input_at(architecture, low)))
            }
            Segment::Range => {
                let uses = value(Column::RangeUses)?.times(-E::ONE);
                (uses, public(alpha - folding * identity(low)))
            }
        };
        numerator = numerator + p.times(weight);
        denominator = denominator + q.times(weight);
    }
    // Leaves beyond the last are 0/1.
    denominator = denominator + public(E::ONE - covered);
    channel.zero(&(numerator - leaves.p.clone()), "the look-up numerators are others")?;
    channel.zero(&(denominator - leaves.q.clone()), "the look-up denominators are others")
}

/// The extension of the identity 0, 1, 2, …
fn identity<E: Extension>(point: &[E]) -> E {
    let terms = point.iter().enumerate();
    terms.map(|(bit, x)| x.scale(F::from_u64(1 << bit))).sum()
}

/// The extensions of a table's two columns.
fn table_at<E: Extension>(architecture: &Architecture, id: usize, point: &[E]) -> (E, E) {
    let table = &architecture.tables[id];
    let (mut q, mut y) = (E::ZERO, E::ZERO);
    for (index, weight) in mle::eq_table(point).iter().enumerate() {
        let (quotient, value) = layout::table_entry(table, index);
        q += weight.scale(F::from_i64(i64::from(quotient)));
        y += weight.scale(F::from_i64(i64::from(value)));
    }
    (q, y)
}

/// The extension of the input's range.
fn input_at<E: Extension>(architecture: &Architecture, point: &[E]) -> E {
    let entries = mle::eq_table(point).into_iter().enumerate();
    let entry = |(index, weight): (usize, E)| {
        weight.scale(F::from_i64(layout::input_entry(architecture.input(), index)))
    };
    entries.map(entry).sum()
}
