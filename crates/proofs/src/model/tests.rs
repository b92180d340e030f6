//! Rules of the format: what is refused, and that every model has one encoding.

use super::*;
use crate::tests::models;

fn json(change: impl Fn(String) -> String) -> crate::Result<(Architecture, Weights)> {
    let text = r#"{"format": "maxwell-model/1", "input": {"shape": [2], "lo": -127, "hi": 127},
        "tables": [{"q_lo": -3, "values": [-3, -2, -1, 0, 1, 2, 3]}],
        "ops": [{"op": "dense", "input": 0, "row_axes": 0, "n": 2, "weight_offset": 0, "bias": [1, -2],
                 "multipliers": [2], "shift": 8, "table": 0}]}"#;
    let weights = [1_i16, -1, 1, 1].map(i16::to_le_bytes).concat();
    from_json(&change(text.to_owned()), &weights)
}

#[test]
fn json_is_read_strictly() {
    let (architecture, weights) = json(|text| text).unwrap();
    assert_eq!(architecture.macs(), 4);
    assert_eq!(weight_bytes(&weights).len(), 8);
    let changes = [
        ("maxwell-model/1", "maxwell-model/2"),
        ("\"n\": 2", "\"n\": 2, \"extra\": 1"),
        ("\"n\": 2", "\"n\": 3"),
        ("\"row_axes\": 0", "\"row_axes\": 1"),
        ("\"weight_offset\": 0", "\"weight_offset\": 1"),
        ("\"table\": 0", "\"table\": 1"),
        ("\"input\": 0", "\"input\": 1"),
        ("\"shift\": 8", "\"shift\": 12"),
        ("\"multipliers\": [2]", "\"multipliers\": [0]"),
        ("\"multipliers\": [2]", "\"multipliers\": [2, 2, 2]"),
        ("\"bias\": [1, -2]", "\"bias\": [1]"),
        ("\"dense\"", "\"softmax\""),
        ("\"q_lo\": -3", "\"q_lo\": 1"),
    ];
    for (from, to) in changes {
        let found = json(|text| text.replace(from, to));
        assert!(matches!(found, Err(ProofError::InvalidModel(_))), "{to}: {found:?}");
    }
}

/// §4.9: |acc| ≤ 2·127 + 2 = 256; at m = 2 the quotient reaches 2, at m = 4 it reaches 4 and misses the table;
/// a multiplier of 32 bits on a wide accumulator would wrap.
#[test]
fn the_static_bound_refuses_what_could_wrap_or_miss() {
    let with = |to: &'static str| move |text: String| text.replace("\"multipliers\": [2]", to);
    assert!(json(with("\"multipliers\": [3]")).is_ok());
    let missed = json(with("\"multipliers\": [4]")).unwrap_err().to_string();
    assert!(missed.contains("q may be"), "{missed}");
    let wide = |text: String| {
        with("\"multipliers\": [4294967295]")(text).replace("[1, -2]", "[1099511627776, 0]")
    };
    let wraps = json(wide).unwrap_err().to_string();
    assert!(wraps.contains("2^62"), "{wraps}");
}

/// §4.12, 13: one encoding per model, and a total decoder.
#[test]
fn bytes_are_canonical() {
    let model = models::everything();
    let bytes = model.architecture.to_bytes();
    assert_eq!(Architecture::from_bytes(&bytes).unwrap(), model.architecture);
    for cut in 0..bytes.len().min(3000) {
        assert!(Architecture::from_bytes(&bytes[..cut]).is_err());
    }
    assert!(Architecture::from_bytes(&[&bytes[..], &[0]].concat()).is_err());
    let mut rng = models::Rng(4);
    for _ in 0..3000 {
        let mut damaged = bytes.clone();
        let place =
            if rng.below(2) == 0 { rng.below(30) } else { damaged.len() - 1 - rng.below(400) };
        damaged[place] ^= 1 << rng.below(8);
        // What is accepted is another model with exactly these bytes.
        if let Ok(other) = Architecture::from_bytes(&damaged) {
            assert_ne!(other, model.architecture);
            assert_eq!(other.to_bytes(), damaged);
        }
    }
}
