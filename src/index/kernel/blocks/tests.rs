use proptest::prelude::*;
use rand::RngExt;

use super::super::Kernel;
use super::*;
use crate::template::synthetic;

/// Hits in an order of their own: loops may find them in any.
fn hits(kernel: Kernel, sketches: Sketches<'_>, probes: &[&Tables], bounds: &[u16]) -> Vec<Vec<u64>> {
    let mut sinks: Vec<Sink> = bounds.iter().map(|&bound| Sink::new(bound, 0)).collect();
    kernel.look_up(sketches, probes, &mut sinks);
    let sorted = |sink: Sink| {
        let mut hits = sink.hits.to_vec();
        hits.sort_unstable();
        hits
    };
    sinks.into_iter().map(sorted).collect()
}

fn lines(rng: &mut impl RngExt, count: usize) -> Vec<Line> {
    (0..count).map(|_| Line(std::array::from_fn(|_| rng.random()))).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn all_loops_keep_the_same_templates_with_the_same_scores(
        seed: u64,
        bytes in 1_usize..40,
        templates in 1_u16..400,
        probes in 1_usize..10,
        flat in 0..4_u8,
        first in prop_oneof![Just(0_u32), 0..1_000_000_u32],
    ) {
        let mut rng = synthetic::rng(seed);
        let sketches = lines(&mut rng, usize::from(templates.div_ceil(64)) * bytes);
        let sketches = Sketches { lines: &sketches, bytes, templates: templates.into(), first };
        let components = |rng: &mut rand_chacha::ChaCha8Rng| -> Vec<i16> {
            let dimension = bytes * 8 - rng.random_range(0..8_usize);
            // Normal ones, ones of a single size, so that very many tie, and nothing but zeros.
            (0..dimension).map(|_| match flat {
                0 => 0,
                1 => if rng.random() { 32_767 } else { -32_767 },
                _ => (0..4).map(|_| rng.random_range(-8_191..=8_191_i16)).sum(),
            }).collect()
        };
        let tables: Vec<Tables> = (0..probes).map(|_| Tables::of(&components(&mut rng))).collect();
        let tables: Vec<&Tables> = tables.iter().collect();
        let bounds: Vec<u16> = tables
            .iter()
            .map(|tables| *[0, tables.score_above(1.0), tables.score_above(0.0), u16::MAX]
                .get(rng.random_range(0..4_usize)).unwrap())
            .collect();
        let expected = hits(Kernel::Portable, sketches, &tables, &bounds);
        for (found, bound) in expected.iter().zip(&bounds) {
            prop_assert!(found.iter().all(|hit| hit >> 32 <= u64::from(*bound)));
            prop_assert!(*bound < u16::MAX || found.len() == usize::from(templates));
        }
        for kernel in Kernel::available() {
            prop_assert_eq!(&hits(kernel, sketches, &tables, &bounds), &expected, "{:?}", kernel);
        }
    }
}

#[test]
fn the_largest_dimension_does_not_overflow_in_any_loop() {
    for kernel in Kernel::available() {
        let ones = vec![Line([255; LINE_BYTES]); 512];
        let tables = Tables::of(&[32_767; 4096]);
        let sketches = Sketches { lines: &ones, bytes: 512, templates: 64, first: 0 };
        let found = hits(kernel, sketches, &[&tables], &[u16::MAX]);
        assert_eq!(found[0][0] >> 32, 4096 * 5, "{kernel:?}: 231 / 48 is 4.8, a weight of 5");
    }
}

#[test]
fn a_score_adds_the_weights_of_the_signs_that_differ() {
    // One template, three components: signs - + -, against a probe of + + - with weights that follow its sizes.
    let mut lines = vec![Line::default()];
    lines[0].0[0] = 0b101;
    let tables = Tables::of(&[30_000, 10_000, -20_000]);
    let weights = weights(&[30_000, 10_000, -20_000]);
    assert_eq!(*weights, [116, 39, 77], "231 * 30 / 60, 231 * 10 / 60 and 231 * 20 / 60, rounded");
    let sketches = Sketches { lines: &lines, bytes: 1, templates: 1, first: 7 };
    for kernel in Kernel::available() {
        assert_eq!(hits(kernel, sketches, &[&tables], &[u16::MAX]), [[116 << 32 | 7]], "{kernel:?}");
        assert_eq!(hits(kernel, sketches, &[&tables], &[115]), [[0_u64; 0]], "{kernel:?}");
    }
}

#[test]
fn weights_that_are_added_as_bytes_never_overflow_one() {
    let mut rng = synthetic::rng(1);
    for dimension in [1, 2, 47, 48, 49, 96, 100, 512] {
        for _ in 0..50 {
            let components: Vec<i16> = (0..dimension)
                .map(|_| if rng.random_range(0..4_u8) == 0 { 32_767 } else { rng.random_range(-9..=9_i16) })
                .collect();
            for run in weights(&components).chunks(RUN_COMPONENTS) {
                assert!(run.iter().map(|&weight| u32::from(weight)).sum::<u32>() <= 255);
            }
        }
    }
}
