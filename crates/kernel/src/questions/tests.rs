use super::*;
use proptest::prelude::*;

const KAPPA: u64 = 20;

fn terms(bytes: &[u8], alphabet: &[u8], chunk: u32) -> Terms {
    let text = Arc::new(Text::new(bytes.to_vec(), alphabet).unwrap());
    Terms { number: 0, text, chunk, kappa: KAPPA, deadline_ns: Some(1_000), open: true }
}

fn purse(credits: u64) -> Purse {
    let mut purse = Purse::default();
    assert!(purse.fund(credits));
    purse
}

fn words(probabilities: &[u32]) -> Vec<u8> {
    probabilities.iter().flat_map(|word| word.to_le_bytes()).collect()
}

/// Goal: a belief must be fixed before its symbol is seen, and is used once.
#[test]
fn a_belief_counts_for_one_chunk() {
    let mut questions = Questions::default();
    questions.add(terms(b"0110", b"01", 1));
    let mut purse = purse(100_000);
    let sure = words(&[u32::MAX, 0]);
    let mut seen = [0u8; 4];
    assert_eq!(questions.believe(0, Some(&sure), &mut purse, 0, 0), Ok(()));
    assert_eq!(purse.stake, 16 * KAPPA);
    assert_eq!(questions.believe(0, Some(&sure), &mut purse, 0, 0), Ok(()));
    assert_eq!(purse.stake, 16 * KAPPA, "a replaced belief locks nothing more");
    for expected in *b"0110" {
        assert_eq!(questions.observe(0, Some(&mut seen), &mut purse), Ok(1));
        assert_eq!(seen[0], expected);
        assert_eq!(purse.stake, 0);
    }
    assert_eq!(questions.observe(0, Some(&mut seen), &mut purse), Ok(0));
    questions.close(&mut purse);
    let blocks: Vec<Block> = questions.take_blocks().collect();
    assert_eq!(blocks.len(), 1);
    assert_eq!((blocks[0].believed, blocks[0].own.len()), (1, 16));
    // One symbol, nearly certain against one half: almost one bit.
    assert!(blocks[0].bits_q32 > (1 << 32) - (1 << 20) && blocks[0].bits_q32 < 1 << 32);
    assert_eq!((blocks[0].lost, purse.free), (0, 100_000));
}

#[test]
fn every_refusal_has_its_reason_and_is_counted() {
    let mut questions = Questions::default();
    questions.add(terms(b"01", b"01", 1));
    let mut purse = purse(16 * KAPPA + 5);
    let half = words(&[1 << 31, 1 << 31]);
    let mut buffer = [0u8; 1];
    let mut ask = |questions: &mut Questions, number, bytes: Option<&[u8]>, runway, now| {
        questions.believe(number, bytes, &mut purse, runway, now)
    };
    assert_eq!(ask(&mut questions, 1, Some(&half), 0, 0), Err(Refusal::Unknown));
    assert_eq!(ask(&mut questions, 0, Some(&half[1..]), 0, 0), Err(Refusal::Length));
    assert_eq!(ask(&mut questions, 0, Some(&[0; 8]), 0, 0), Err(Refusal::Sum));
    assert_eq!(ask(&mut questions, 0, None, 0, 0), Err(Refusal::Memory));
    assert_eq!(ask(&mut questions, 0, Some(&half), 6, 0), Err(Refusal::Stake));
    assert_eq!(ask(&mut questions, 0, Some(&half), 0, 1_000), Err(Refusal::Late));
    questions.set_open(0, false);
    assert_eq!(ask(&mut questions, 0, Some(&half), 0, 0), Err(Refusal::Closed));
    questions.set_open(0, true);
    assert_eq!(purse.free, 16 * KAPPA + 5, "a refused belief costs nothing");
    assert_eq!(questions.observe(0, Some(&mut []), &mut purse), Err(Refusal::Length));
    assert_eq!(questions.observe(7, Some(&mut buffer), &mut purse), Err(Refusal::Unknown));
    assert_eq!(questions.observe(0, None, &mut purse), Err(Refusal::Memory));
    for _ in 0..2 {
        assert_eq!(questions.observe(0, Some(&mut buffer), &mut purse), Ok(1));
    }
    let late = questions.believe(0, Some(&half), &mut purse, 0, 0);
    assert_eq!(late, Err(Refusal::Ended));
    let counted: u64 = questions.take_refusals().iter().map(|(_, _, count)| count).sum();
    assert_eq!(counted, 10, "the end of the stream is no fault");
    assert!(questions.take_refusals().is_empty());
}

#[test]
fn a_full_queue_reveals_nothing() {
    let mut questions = Questions::default();
    let text = vec![b'0'; BLOCK_SYMBOLS * (BLOCKS_QUEUED_MAX + 2)];
    questions.add(terms(&text, b"01", 256));
    let mut purse = purse(10_000_000);
    let half = words(&[1 << 31, 1 << 31]);
    let mut buffer = [0u8; 256];
    let mut read = 0;
    loop {
        assert_eq!(questions.believe(0, Some(&half), &mut purse, 0, 0), Ok(()));
        match questions.observe(0, Some(&mut buffer), &mut purse) {
            Ok(bytes) => read += bytes,
            Err(refusal) => {
                assert_eq!(refusal, Refusal::Busy);
                break;
            }
        }
    }
    assert_eq!(read, BLOCK_SYMBOLS * (BLOCKS_QUEUED_MAX - 1));
    assert_eq!(questions.take_blocks().count(), BLOCKS_QUEUED_MAX - 1);
    assert_eq!(questions.observe(0, Some(&mut buffer), &mut purse), Ok(256));
}

#[derive(Clone, Debug)]
enum Step {
    Believe(Vec<u32>),
    Observe,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let belief = prop::collection::vec(0u32..30, 4).prop_map(|weights| {
        let weights: Vec<u64> = weights.iter().map(|&w| 1u64 << w).collect();
        let total: u64 = weights.iter().sum();
        let part = |w: u64| u32::try_from(u128::from(w << 32) / u128::from(total));
        Step::Believe(weights.iter().map(|&w| part(w).unwrap_or(u32::MAX)).collect())
    });
    prop::collection::vec(prop_oneof![belief, Just(Step::Observe)], 0..900)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    /// Goal: no order of beliefs and observations makes a debt, loses a credit, or books other
    /// bits than the logarithms of what is recorded. Method: random steps over random texts; the
    /// purse holds little, so that stakes are refused too.
    #[test]
    fn nobody_is_in_debt(
        text in prop::collection::vec(0u8..4, 1..600),
        steps in steps(),
        chunk in 1u32..9,
        credits in 0u64..400_000,
    ) {
        let mut questions = Questions::default();
        questions.add(terms(&text, &[0, 1, 2, 3], chunk));
        let mut purse = purse(credits);
        let mut buffer = [0u8; 16];
        for step in steps {
            match step {
                Step::Believe(belief) => {
                    let _ = questions.believe(0, Some(&words(&belief)), &mut purse, 3, 0);
                }
                Step::Observe => {
                    prop_assert!(questions.observe(0, Some(&mut buffer), &mut purse).is_ok());
                }
            }
            prop_assert!(purse.is_conserved());
        }
        questions.close(&mut purse);
        prop_assert!(purse.is_conserved());
        prop_assert_eq!(purse.stake, 0);
        let mut lost = 0;
        let mut end = 0;
        for block in questions.take_blocks() {
            prop_assert!(block.start >= end);
            end = block.start + block.own.len() as u64 / 4;
            let log = |bytes: &[u8]| -> Vec<i64> {
                let words = bytes.as_chunks::<4>().0.iter();
                words.map(|w| log2_q32(u32::from_le_bytes(*w)).cast_signed()).collect()
            };
            let bits: i64 = log(&block.own)
                .iter()
                .zip(log(&block.public))
                .map(|(own, public)| if *own == 0 { 0 } else { own - public })
                .sum();
            prop_assert_eq!(bits, block.bits_q32);
            prop_assert_eq!(block.lost, loss_credits(KAPPA, bits));
            lost += block.lost;
        }
        prop_assert_eq!(purse.staked, lost);
        prop_assert_eq!(purse.free, credits - lost);
    }
}
