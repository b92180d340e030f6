//! What proofs show: nothing twice, nothing that does not look uniform, nothing without a pad.

use std::collections::HashSet;
use std::sync::atomic::Ordering;

use super::super::models;
use super::{Cheat, hiding, plan, registered, small};
use crate::extension::Extension;
use crate::merkle::SALT;

/// §4.19: two proofs of one statement share no message, salt, column or leaf. The weights are committed to once,
/// so that a place which both ask for shows the same column of them: those are left out.
fn two_proofs_share_nothing<E: Extension>() {
    let (model, prepared) = small::<E>();
    let input = model.input(1, 5);
    let plan = plan::<E>(&model, 1);
    let words =
        |bytes: &[u8]| -> HashSet<[u8; 8]> { bytes.as_chunks::<8>().0.iter().copied().collect() };
    let mut sent = 0;
    let proofs = [(); 2].map(|()| {
        let mut cheat = Cheat::<E>::default();
        let proof = prepared.prove_tampered(&input, 1, b"c", &mut cheat).unwrap().bytes;
        sent = 32 + E::BYTES * cheat.seen.iter().map(|(_, len)| len).sum::<usize>();
        proof
    });
    let messages = proofs.each_ref().map(|proof| words(&proof[..sent]));
    assert!(messages[0].len() > 1000 && messages[0].is_disjoint(&messages[1]));
    // The own tree is at the end: masks with branches, columns with salts, path.
    let length = plan.queries / 2 * (SALT + 8 * plan.columns.all_rows());
    let ends = proofs.each_ref().map(|proof| words(&proof[proof.len() - length..]));
    assert!(ends[0].len() > 1000 && ends[0].is_disjoint(&ends[1]));
    // With injected randomness they are one and the same: nothing else is random.
    prepared.opened.store(0, Ordering::SeqCst);
    let fixed = [(); 2].map(|()| {
        let mut cheat = Cheat::<E> { seed: Some([9; 32]), ..Cheat::default() };
        prepared.prove_tampered(&input, 1, b"c", &mut cheat).unwrap().bytes
    });
    assert!(fixed[0] == fixed[1]);
}

/// χ² of the high bits of words against a uniform distribution, 64 classes.
fn chi_square(words: impl Iterator<Item = u64>) -> f64 {
    let (mut counts, mut all) = ([0_u32; 64], 0_u32);
    for word in words {
        counts[(word >> 58) as usize] += 1;
        all += 1;
    }
    assert!(all > 700, "{all} words");
    let expected = f64::from(all) / 64.0;
    counts.iter().map(|count| (f64::from(*count) - expected).powi(2) / expected).sum()
}

/// What is revealed looks uniform although everything hidden is zero: weights, biases, input, so that without
/// hiding messages and columns would be almost all zeros. 63 degrees of freedom: 120 is exceeded with 2·10⁻⁵.
fn what_is_revealed_looks_uniform<E: Extension>() {
    let mut model = models::mlp([5, 4, 3, 2]);
    for own in &mut model.weights {
        own.weights.fill(0);
        own.bias.fill(0);
    }
    let prepared = hiding::<E>(&model, 4);
    let mut cheat = Cheat::<E> { seed: Some([5; 32]), ..Cheat::default() };
    let proof = prepared.prove_tampered(&[0; 5], 1, b"c", &mut cheat).unwrap();
    let words = |bytes: &[u8]| -> Vec<u64> {
        bytes.as_chunks::<8>().0.iter().map(|word| u64::from_le_bytes(*word)).collect()
    };
    let plan = plan::<E>(&model, 1);
    let sent: usize = cheat.seen.iter().map(|(_, len)| len).sum();
    // Messages, combinations and the linear test.
    let (messages, rest) = proof.bytes[32..].split_at(E::BYTES * sent);
    assert!(chi_square(words(messages).into_iter()) < 120.0);
    // Columns of the weights, with their salts; places are distinct, so there are at most so many.
    let columns = (plan.queries - 8) * (SALT + 8 * plan.outside[0].rows);
    assert!(chi_square(words(&rest[..columns]).into_iter()) < 120.0);
    let own = plan.queries / 2 * (SALT + 8 * plan.columns.all_rows());
    assert!(chi_square(words(&rest[rest.len() - own..]).into_iter()) < 120.0);
    // The same without hiding is nowhere near.
    let plain = registered::<E>(&model, 0, None);
    let proof = plain.prove(&[0; 5], 1, b"c").unwrap().bytes;
    assert!(chi_square(words(&proof).into_iter()) > 1000.0);
}

/// Every message is one that a pad was counted for: the bound is not far off.
fn pads_are_counted<E: Extension>() {
    for (model, batch) in [
        (models::dense(3, 2, true), 1),
        (models::everything(), 3),
        (models::mlp([50, 32, 17, 10]), 5),
    ] {
        let prepared = hiding::<E>(&model, 1);
        let mut cheat = Cheat::<E>::default();
        let input = model.input(batch, 1);
        prepared.prove_tampered(&input, batch, b"", &mut cheat).unwrap();
        let clear = ["combination", "factors of products", "linear test"];
        let hidden = cheat.seen.iter().filter(|(label, _)| !clear.contains(label));
        let sent: usize = hidden.map(|(_, len)| len).sum();
        let plan = plan::<E>(&model, batch);
        assert!(sent <= plan.pads.messages && plan.pads.messages <= sent + 100, "{sent}");
    }
}

over_both!(two_proofs_share_nothing, what_is_revealed_looks_uniform, pads_are_counted,);
