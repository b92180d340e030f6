//! The canonical bytes of an architecture: one encoding per model, and a total decoder.

use super::{Architecture, Kind, Op, Table, Tensor, Window, limits};
use crate::error::{ProofError, Result};

const MAGIC: &[u8; 4] = b"MQM1";

fn put(bytes: &mut Vec<u8>, value: usize) {
    // Every number of a checked architecture is below 2^26.
    bytes.extend_from_slice(&u32::try_from(value).unwrap_or(u32::MAX).to_le_bytes());
}

fn put_window(bytes: &mut Vec<u8>, window: &Window) {
    for value in window.kernel.iter().chain(&window.strides).chain(&window.pads) {
        put(bytes, *value);
    }
}

impl Architecture {
    /// The canonical encoding.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = MAGIC.to_vec();
        let input = self.input();
        bytes.push(u8::try_from(input.shape.len()).unwrap_or(u8::MAX));
        for dimension in &input.shape {
            put(&mut bytes, *dimension);
        }
        bytes.extend_from_slice(&input.lo.to_le_bytes());
        bytes.extend_from_slice(&input.hi.to_le_bytes());
        put(&mut bytes, self.tables.len());
        for table in &self.tables {
            bytes.extend_from_slice(&table.q_lo.to_le_bytes());
            put(&mut bytes, table.values.len());
            bytes.extend(table.values.iter().flat_map(|value| value.to_le_bytes()));
        }
        put(&mut bytes, self.ops.len());
        for op in &self.ops {
            put_op(&mut bytes, op);
        }
        bytes
    }

    /// Decodes and checks an architecture.
    ///
    /// # Errors
    /// [`ProofError::InvalidModel`] unless the bytes are exactly the canonical encoding of a valid one.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self> {
        let mut reader = Reader(bytes);
        if reader.take::<4>()? != *MAGIC {
            return Err(ProofError::model("not a proof model of version 1"));
        }
        let rank = reader.take::<1>()?[0];
        let shape = (0..rank).map(|_| reader.number()).collect::<Result<Vec<_>>>()?;
        let (lo, hi) = (i16::from_le_bytes(reader.take()?), i16::from_le_bytes(reader.take()?));
        let count = reader.count(limits::TABLES)?;
        let tables = (0..count).map(|_| read_table(&mut reader)).collect::<Result<Vec<_>>>()?;
        let count = reader.count(limits::OPS)?;
        let ops = (0..count).map(|_| read_op(&mut reader)).collect::<Result<Vec<_>>>()?;
        if !reader.0.is_empty() {
            return Err(ProofError::model("bytes after the end of the model"));
        }
        Self::new(Tensor { shape, lo, hi }, tables, ops)
    }
}

fn put_op(bytes: &mut Vec<u8>, op: &Op) {
    let kind = match &op.kind {
        Kind::Dense { .. } => 1,
        Kind::Conv2d { .. } => 2,
        Kind::Add { .. } => 3,
        Kind::AvgPool { .. } => 4,
        Kind::Table => 5,
    };
    bytes.push(kind);
    put(bytes, op.input);
    match &op.kind {
        Kind::Dense { row_axes, n } => {
            put(bytes, *row_axes);
            put(bytes, *n);
        }
        Kind::Conv2d { o, window } => {
            put(bytes, *o);
            put_window(bytes, window);
        }
        Kind::Add { other, scales } => {
            put(bytes, *other);
            bytes.extend(scales.iter().flat_map(|scale| scale.to_le_bytes()));
        }
        Kind::AvgPool { window } => put_window(bytes, window),
        Kind::Table => {}
    }
    put(bytes, op.multipliers.len());
    bytes.extend(op.multipliers.iter().flat_map(|multiplier| multiplier.to_le_bytes()));
    bytes.push(u8::try_from(op.shift).unwrap_or(u8::MAX));
    put(bytes, op.table);
}

/// Reads from the front of a slice; every read is checked.
struct Reader<'a>(&'a [u8]);

impl Reader<'_> {
    fn take<const N: usize>(&mut self) -> Result<[u8; N]> {
        let (head, tail) = self.0.split_first_chunk::<N>().ok_or_else(short)?;
        self.0 = tail;
        Ok(*head)
    }

    fn number(&mut self) -> Result<usize> {
        usize::try_from(u32::from_le_bytes(self.take()?)).map_err(|_| short())
    }

    fn count(&mut self, max: usize) -> Result<usize> {
        let count = self.number()?;
        if count > max { Err(ProofError::model("a count over its limit")) } else { Ok(count) }
    }

    fn window(&mut self) -> Result<Window> {
        let mut numbers = [0; 8];
        for number in &mut numbers {
            *number = self.number()?;
        }
        let [kh, kw, sh, sw, top, left, bottom, right] = numbers;
        Ok(Window { kernel: [kh, kw], strides: [sh, sw], pads: [top, left, bottom, right] })
    }
}

fn short() -> ProofError {
    ProofError::model("the encoding ends early")
}

fn read_table(reader: &mut Reader<'_>) -> Result<Table> {
    let q_lo = i32::from_le_bytes(reader.take()?);
    let count = reader.count(limits::TABLE_VALUES)?;
    let values =
        (0..count).map(|_| reader.take().map(i16::from_le_bytes)).collect::<Result<Vec<_>>>()?;
    Ok(Table { q_lo, values })
}

fn read_op(reader: &mut Reader<'_>) -> Result<Op> {
    let [kind] = reader.take()?;
    let input = reader.number()?;
    let kind = match kind {
        1 => Kind::Dense { row_axes: reader.number()?, n: reader.number()? },
        2 => Kind::Conv2d { o: reader.number()?, window: reader.window()? },
        3 => Kind::Add {
            other: reader.number()?,
            scales: [i32::from_le_bytes(reader.take()?), i32::from_le_bytes(reader.take()?)],
        },
        4 => Kind::AvgPool { window: reader.window()? },
        5 => Kind::Table,
        _ => return Err(ProofError::model("an unknown operation")),
    };
    let count = reader.number()?;
    if count > reader.0.len() / 4 {
        return Err(short());
    }
    let multipliers =
        (0..count).map(|_| reader.take().map(u32::from_le_bytes)).collect::<Result<Vec<_>>>()?;
    let [shift] = reader.take()?;
    Ok(Op { kind, input, multipliers, shift: u32::from(shift), table: reader.number()? })
}
