use proptest::prelude::*;
use rand::RngExt;

use super::*;
use crate::template::synthetic;

/// What a kernel keeps of a part.
fn hits(kernel: Kernel, part: Part<'_>, plans: &[&Plan], bounds: &[u16]) -> Vec<Vec<u64>> {
    let mut sinks: Vec<Sink> = bounds.iter().map(|&bound| Sink::new(bound, 0)).collect();
    kernel.scan(part, Some(part), plans, &mut sinks);
    sinks.into_iter().map(|sink| sink.hits.to_vec()).collect()
}

/// What is to be kept, by the plainest means: weights by rank, sign by sign.
fn expected(part: Part<'_>, components: &[i16], planes: usize, bound: u16) -> Vec<u64> {
    let mut ranks: Vec<usize> = (0..components.len()).collect();
    ranks.sort_by_key(|&nth| (std::cmp::Reverse(components[nth].unsigned_abs()), nth));
    let weight = |rank: usize| {
        if rank < components.len() / 16 {
            3
        } else if rank < components.len() / 4 {
            2
        } else {
            1
        }
    };
    let from = part.from * 512;
    (from..from + part.count * 512)
        .zip(part.first + u32::try_from(from).unwrap()..part.end)
        .filter_map(|(template, name)| {
            let differs = |nth: usize| {
                let line = part.planes[nth * part.columns + template / 512];
                (line.0[template % 512 / 8] >> (template % 8) & 1 == 1) != (components[nth] < 0)
            };
            let score: u64 = (0..planes).filter(|&rank| differs(ranks[rank])).map(weight).sum();
            (score <= u64::from(bound)).then(|| score << 32 | u64::from(name))
        })
        .collect()
}

fn lines(rng: &mut impl RngExt, count: usize) -> Vec<Line> {
    (0..count).map(|_| Line(std::array::from_fn(|_| rng.random()))).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn all_loops_keep_the_same_templates_with_the_same_scores(
        seed: u64,
        dimension in prop_oneof![9 => 16_usize..200, 1 => 700_usize..1_100],
        templates in 1_u32..3_000,
        probes in 1_usize..5,
        flat in 0..4_u8,
        first in prop_oneof![Just(0_u32), 0..1_000_000_u32],
    ) {
        let mut rng = synthetic::rng(seed);
        let columns = usize::try_from(templates.div_ceil(512)).unwrap();
        let mut planes = lines(&mut rng, dimension * columns);
        planes.extend(vec![Line::default(); columns]);
        let from = rng.random_range(0..columns);
        let count = rng.random_range(1..=columns - from);
        let part = Part { planes: &planes, columns, from, count, first, end: first + templates };
        for _ in 0..probes {
            // Normal ones, ones of a single size, so that very many tie, and nothing but zeros.
            let components: Vec<i16> = (0..dimension).map(|_| match flat {
                0 => 0,
                1 => if rng.random() { 32_767 } else { -32_767 },
                _ => (0..4).map(|_| rng.random_range(-8_191..=8_191_i16)).sum(),
            }).collect();
            let fewest = (dimension / 4).next_multiple_of(16).max(16);
            let read = fewest + rng.random_range(0..=(dimension - fewest) / 16) * 16;
            let plan = Plan::of(&Ranking::of(&components), read);
            for bound in [0, plan.score_above(2.0), plan.score_above(0.0), 1_023, u16::MAX] {
                let expected = expected(part, &components, read, bound);
                for kernel in Kernel::available() {
                    let found = hits(kernel, part, &[&plan, &plan], &[bound, 3]);
                    prop_assert_eq!(&found[0], &expected, "{:?}, bound {}", kernel, bound);
                    let alone = hits(kernel, part, &[&plan], &[bound]);
                    prop_assert_eq!(&alone[0], &expected, "{:?} alone, bound {}", kernel, bound);
                    prop_assert!(found[1].len() <= found[0].len() || bound < 3);
                }
            }
        }
    }

    #[test]
    fn all_loops_give_the_exact_inner_product(
        seed: u64,
        stride in 1_usize..6,
        rows in 1_usize..40,
        extreme: bool,
    ) {
        let mut rng = synthetic::rng(seed);
        let mut lines = lines(&mut rng, stride * rows);
        for byte in lines.iter_mut().flat_map(|line| &mut line.0) {
            *byte = if extreme { 127 } else { (*byte).max(129) };
        }
        let wide: Vec<Wide> = (0..stride)
            .map(|_| Wide(std::array::from_fn(|_| {
                if extreme { 32_767 } else { rng.random_range(-32_767..=32_767_i16) }
            })))
            .collect();
        let rows: Vec<&[Line]> = lines.chunks(stride).rev().chain([&lines[..stride]]).collect();
        let expected: Vec<i64> = rows
            .iter()
            .map(|row| {
                let row = row.iter().flat_map(|line| line.0).map(|byte| i64::from(byte.cast_signed()));
                row.zip(wide.iter().flat_map(|wide| wide.0)).map(|(a, b)| a * i64::from(b)).sum()
            })
            .collect();
        for kernel in Kernel::available() {
            let mut dots = Vec::new();
            kernel.dots(&rows, &wide, &mut dots);
            prop_assert_eq!(&dots, &expected, "{:?}", kernel);
        }
    }
}

#[test]
fn the_largest_dimension_does_not_overflow_in_any_loop() {
    let lines = vec![Line([127; LINE_BYTES]); 64];
    let wide = vec![Wide([-32_767; LINE_BYTES]); 64];
    for kernel in Kernel::available() {
        let mut dots = Vec::new();
        kernel.dots(&[&lines], &wide, &mut dots);
        assert_eq!(dots, [-4096 * 127 * 32_767], "{kernel:?}");
        let ones = vec![Line([255; LINE_BYTES]); 4_097];
        let plan = Plan::of(&Ranking::of(&[32_767; 4_096]), 4_096);
        let part = Part { planes: &ones, columns: 1, from: 0, count: 1, first: 0, end: 512 };
        let found = hits(kernel, part, &[&plan], &[u16::MAX]);
        let score = 3 * 256 + 2 * 768 + 3_072;
        assert_eq!(found[0].first(), Some(&(score << 32)), "{kernel:?}: every sign differs");
        assert_eq!(found[0].len(), 512);
        assert_eq!(hits(kernel, part, &[&plan], &[u16::try_from(score).unwrap() - 1]), [[0_u64; 0]]);
    }
}

#[test]
fn every_plan_of_a_size_takes_the_same_steps() {
    let mut rng = synthetic::rng(9);
    for (dimension, planes) in [(512, 144), (512, 512), (100, 32), (100, 96), (16, 16), (4_096, 1_024)] {
        let mut shapes = (0..20).map(|_| {
            let components: Vec<i16> = (0..dimension).map(|_| rng.random_range(-32_767..=32_767)).collect();
            let plan = Plan::of(&Ranking::of(&components), planes);
            (plan.ones.len(), plan.twos.len(), plan.slices, plan.score_above(1.5))
        });
        let first = shapes.next().unwrap();
        assert!(shapes.all(|shape| shape == first), "work must not tell one probe from another");
    }
}

#[test]
fn the_edge_is_the_score_of_the_last_that_is_kept() {
    let hits: Vec<u64> = [7, 3, 3, 9, 5_000].iter().zip(0..).map(|(score, nth)| score << 32 | nth).collect();
    let edges: Vec<_> = (1..=6).map(|kept| edge(&hits, kept)).collect();
    assert_eq!(edges, [Some(3), Some(3), Some(7), Some(9), Some(5_000), None]);
}

#[test]
fn a_sink_that_is_cut_keeps_the_nearest_and_all_that_score_as_the_last_of_them() {
    let mut sink = Sink::new(u16::MAX, 300);
    for template in 0..1_000_u32 {
        sink.keep(u64::from(template) % 100, template, 1_000);
    }
    sink.cut(300);
    assert_eq!(sink.hits.len(), 1_000, "little is not worth cutting");
    sink.cut(95);
    assert_eq!((sink.bound, sink.hits.len()), (9, 100));
    assert!(sink.hits.iter().all(|hit| hit >> 32 <= 9));
    assert!(sink.hits.is_sorted_by_key(|hit| hit & 0xffff_ffff), "those that stay keep their order");
    sink.keep(9, 1_000, 1_000);
    assert_eq!(sink.hits.len(), 100, "what is behind the end is no template");
}

#[test]
fn the_edge_is_the_score_of_the_last_that_stays_whatever_the_scores_are() {
    for scale in [1, 0xffff_0000_u64 / 100] {
        let hits: Vec<u64> = (0..100_u64).map(|nth| ((nth * 37 % 100 * scale) << 32) | nth).collect();
        for kept in [1, 2, 50, 100] {
            assert_eq!(edge(&hits, kept), Some(u64::try_from(kept - 1).unwrap() * scale), "{scale}");
        }
        assert_eq!(edge(&hits, 101), None);
    }
}
