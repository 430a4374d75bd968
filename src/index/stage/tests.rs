use super::*;

fn parse(text: &str) -> Result<FirstStage, StageError> {
    text.parse()
}

#[test]
fn only_indexes_that_look_at_every_template_may_stand_here() {
    for (text, shown) in [
        ("onebit", "onebit"),
        ("faiss:Flat", "faiss:Flat"),
        ("faiss:SQ4", "faiss:SQ4"),
        ("faiss:SQ6", "faiss:SQ6"),
        ("faiss:SQ8", "faiss:SQ8"),
        ("faiss:SQ8_direct_signed", "faiss:SQ8_direct_signed"),
        ("faiss:SQfp16", "faiss:SQfp16"),
        ("faiss:SQbf16", "faiss:SQbf16"),
        ("faiss:LSH", "faiss:LSH"),
        ("faiss:LSHr", "faiss:LSHr"),
        ("faiss:LSH256", "faiss:LSH256"),
        ("faiss:LSH1024r", "faiss:LSH1024r"),
        ("faiss:PQ64x4fs", "faiss:PQ64x4fs"),
        ("faiss:PQ128x4fs", "faiss:PQ128x4fs"),
        ("faiss:PQ64x4", "faiss:PQ64x4"),
        ("faiss:PQ64", "faiss:PQ64x8"),
        ("faiss:PQ64np", "faiss:PQ64x8"),
        ("faiss:PQ32x6np", "faiss:PQ32x6"),
    ] {
        assert_eq!(parse(text).map(|stage| stage.to_string()), Ok(shown.to_owned()), "{text}");
    }
    for text in [
        "HNSW32",
        "HNSW32,Flat",
        "HNSW",
        "HNSW32_PQ64",
        "IVF1024,Flat",
        "IVF1024,PQ64x4fs",
        "IVF65536_HNSW32,SQ8",
        "OPQ64,IVF256,PQ64",
        "IMI2x8,PQ32",
        "NSG32,Flat",
        "NNDescent32",
        "PCA64,HNSW32",
        "IVF16,HNSW32",
    ] {
        let refused = parse(&format!("faiss:{text}"));
        assert_eq!(refused, Err(FactoryError::NotExhaustive(text.to_owned()).into()));
        let words = refused.unwrap_err().to_string();
        assert!(words.contains("depends on the probe") && words.contains("`SQ8`"), "{words}");
    }
    for text in ["PQ64x4fs,Refine(SQ8)", "SQ8,RFlat", "IDMap,Flat", "OPQ64,PQ64", "PCA64,SQ8", "RR128,SQ8"] {
        assert_eq!(parse(&format!("faiss:{text}")), Err(FactoryError::Composed(text.to_owned()).into()));
    }
    for text in [
        "",
        "flat",
        "Flat ",
        "Flat\0",
        "SQ",
        "SQ7",
        "SQ8_direct",
        "SQ8np",
        "LSH0",
        "LSHt",
        "LSH-1r",
        "LSH+1",
        "LSH01r",
        "LSH4097r",
        "PQ",
        "PQx4fs",
        "PQ0x4fs",
        "PQ64x4fsr",
        "PQ64x5fs",
        "PQ64x4fs_32",
        "PQ64x3",
        "PQ64x12",
        "PQ64x",
        "PQ 64",
        "PQ9999999999999999999999",
        "RaBitQ",
        "RQ8x8",
        "LSQ8x8",
        "ZnLattice3x10_6",
        "Pickle",
    ] {
        let refused = parse(&format!("faiss:{text}"));
        assert_eq!(refused, Err(FactoryError::Unknown(text.to_owned()).into()));
        assert!(refused.unwrap_err().to_string().contains("write one of `Flat`"));
    }
    for text in ["", "one-bit", "Onebit", "SQ8", "FAISS:SQ8", "hnsw:32", "onebit:SQ8", "faiss"] {
        assert_eq!(parse(text), Err(StageError::Unknown(text.to_owned())));
    }
}

#[test]
fn an_index_that_a_dimension_does_not_fit_is_refused() {
    for (text, dimension, fits) in [
        ("faiss:Flat", 2, true),
        ("faiss:PQ64x4fs", 512, true),
        ("faiss:PQ64x4fs", 500, false),
        ("faiss:PQ64x8", 32, false),
        ("faiss:LSH256", 256, true),
        ("faiss:LSH256", 255, false),
        ("faiss:LSH256r", 255, true),
    ] {
        let Ok(FirstStage::Faiss(factory)) = parse(text) else { panic!("{text} should be known") };
        let checked = factory.check_dimension(Dimension::new(dimension).unwrap());
        assert_eq!(checked.is_ok(), fits, "{text} at {dimension}");
    }
}

#[test]
fn what_can_not_be_among_the_nearest_is_let_go_of() {
    for kept in [1, 7, 100] {
        let (mut hits, mut all) = (Vec::new(), Vec::new());
        for number in 0..2_000_u64 {
            let hit = number.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 20;
            all.push(hit);
            hits.push(hit);
            cut(&mut hits, kept);
            assert!(hits.len() <= kept * 4 || number < 8, "{} of {kept}", hits.len());
        }
        hits.sort_unstable();
        all.sort_unstable();
        assert_eq!(hits[..kept], all[..kept]);
    }
}

#[cfg(not(feature = "faiss"))]
#[test]
fn a_build_without_faiss_says_how_to_get_it() {
    let stage = parse("faiss:SQ8").unwrap();
    assert_eq!(stage.available(), Err(StageError::NotBuilt));
    let opened = stage.open(Dimension::new(64).unwrap());
    assert!(matches!(opened, Err(StageError::NotBuilt)), "nothing else may search in its place");
    assert!(StageError::NotBuilt.to_string().contains("--features faiss"));
}

#[cfg(feature = "faiss")]
mod with_faiss {
    use std::collections::BTreeMap;
    use std::num::NonZeroUsize;
    use std::sync::LazyLock;

    use proptest::prelude::*;

    use super::*;
    use crate::index::gallery::{Compartment, Gallery, Slot};
    use crate::index::pool::{Pool, pool};
    use crate::index::{Findings, kernel::Kernel};
    use crate::template::{Compact, Protected, Threshold, Transform, synthetic};

    const DIMENSION: u16 = 128;
    const PEOPLE: usize = 5_000;

    /// Each with a threshold that it reaches: below, it would leave everybody to be compared.
    const INDEXES: [(&str, f64); 16] = [
        ("Flat", 0.45),
        ("SQ8", 0.45),
        ("SQ6", 0.45),
        ("SQ4", 0.5),
        ("SQfp16", 0.45),
        ("SQbf16", 0.45),
        ("SQ8_direct_signed", 0.45),
        ("LSH", 0.8),
        ("LSHr", 0.8),
        ("LSH100", 0.9),
        ("LSH512r", 0.7),
        ("PQ32x4fs", 0.7),
        ("PQ16x4fs", 0.9),
        ("PQ32x4", 0.7),
        ("PQ32x5", 0.7),
        ("PQ16x8", 0.7),
    ];

    static THREADS: LazyLock<Pool> = LazyLock::new(|| pool(NonZeroUsize::new(2).unwrap()).unwrap());
    static TRANSFORM: LazyLock<Transform> = LazyLock::new(|| synthetic::transform(DIMENSION, 1));
    /// People, and their templates.
    static KNOWN: LazyLock<Vec<(Vec<f32>, Protected)>> = LazyLock::new(|| {
        let mut rng = synthetic::rng(7);
        let people = (0..PEOPLE).map(|_| synthetic::unit(&mut rng, DIMENSION));
        people.map(|person| (person.clone(), synthetic::protected(&person, &TRANSFORM))).collect()
    });
    static STAGES: LazyLock<Vec<Arc<dyn Stage>>> =
        LazyLock::new(|| INDEXES.map(|(text, _)| opened(text)).into());

    fn opened(text: &str) -> Arc<dyn Stage> {
        let stage = parse(&format!("faiss:{text}")).unwrap();
        stage.open(TRANSFORM.dimension()).unwrap_or_else(|error| panic!("{text}: {error}")).unwrap()
    }

    fn gallery(stage: &Arc<dyn Stage>) -> Gallery {
        Gallery::with_kernel(TRANSFORM.dimension(), THREADS.clone(), Kernel::best(), Some(Arc::clone(stage)))
    }

    fn row(person: usize) -> (Slot, Compartment, Compact) {
        let slot = u64::try_from(person).unwrap();
        (Slot(slot), Compartment(slot % 3), Compact::of(&KNOWN[person].1))
    }

    fn passing(findings: &Findings, threshold: Threshold) -> Vec<(u64, u64)> {
        let passing = findings.rows().iter().filter(|row| row.similarity.passes(threshold));
        passing.map(|row| (row.compartment.0, row.slot.0)).collect()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]

        #[test]
        fn whoever_passes_is_found_whatever_chooses_and_whatever_was_changed(
            index in 0..INDEXES.len(),
            chunk in 200..PEOPLE,
            every in 2..40_usize,
            seed in any::<u64>(),
        ) {
            let (text, threshold) = INDEXES[index];
            let threshold = Threshold::new(threshold).unwrap();
            let gallery = gallery(&STAGES[index]);
            let everybody: Vec<usize> = (0..PEOPLE).collect();
            for people in everybody.chunks(chunk) {
                gallery.insert_rounded(people.iter().copied().map(row).collect()).unwrap();
            }
            // Some go, of whom some come back, and some move to another compartment.
            let gone: Vec<usize> = everybody.iter().copied().step_by(every).collect();
            let slots: Vec<Slot> = gone.iter().map(|&person| row(person).0).collect();
            prop_assert_eq!(gallery.remove(&slots), gone.len());
            let (back, gone) = gone.split_at(gone.len() / 2);
            gallery.insert_rounded(back.iter().copied().map(row).collect()).unwrap();
            gallery.relabel(Slot(1), Compartment(7)).unwrap();
            prop_assert_eq!(gallery.len(), PEOPLE - gone.len());
            prop_assert!(gallery.kept(threshold) < gallery.len() / 8 + 1, "{} should have to choose", text);

            // Those who are gone and those who are back, others, at cosines around the threshold, and strangers.
            let mut rng = synthetic::rng(seed);
            let asked = gone.iter().chain(back).take(6).chain([&1, &4_321]);
            let mut probes: Vec<Protected> = Vec::new();
            for (number, &person) in (0_u32..).zip(asked) {
                let cosine = (threshold.get() + f64::from(number) * 0.02 - 0.03).min(0.99);
                let mate = synthetic::mate(&mut rng, &KNOWN[person].0, cosine);
                probes.push(synthetic::protected(&mate, &TRANSFORM));
            }
            probes.push(synthetic::protected(&synthetic::unit(&mut rng, DIMENSION), &TRANSFORM));
            let (found, exact) = (gallery.search(&probes, threshold).unwrap(), gallery.exact(&probes).unwrap());
            for (found, exact) in found.iter().zip(&exact) {
                prop_assert_eq!(passing(found, threshold), passing(exact, threshold), "{}", text);
            }
            let alone = gallery.search(&probes[..1], threshold).unwrap();
            prop_assert_eq!(passing(&alone[0], threshold), passing(&exact[0], threshold), "{} alone", text);
        }
    }

    #[test]
    fn how_fine_an_index_is_comes_out_as_theory_has_it() {
        let fineness: BTreeMap<&str, f64> =
            INDEXES.iter().zip(STAGES.iter()).map(|((text, _), stage)| (*text, stage.fineness())).collect();
        println!("{fineness:.4?}");
        for (text, least, most) in [
            ("Flat", 0.999_999, 1.0),
            ("SQ8", 0.9999, 1.0),
            ("SQ8_direct_signed", 0.9995, 1.0),
            ("SQfp16", 0.9999, 1.0),
            // Four bits a component: a step of half a spread.
            ("SQ4", 0.98, 0.999),
            // Signs against signs: 2 / π.
            ("LSH", 0.61, 0.66),
            // One bit a component, and half a bit; below what any code of this rate can reach, √(1 - 2^(-2 rate)).
            ("PQ32x4fs", 0.76, 0.867),
            ("PQ16x4fs", 0.58, 0.708),
        ] {
            let found = fineness[text];
            assert!((least..=most).contains(&found), "{text}: {found}");
        }
    }

    /// Faiss, with one segment that it could not index.
    struct Failing(Arc<dyn Stage>);

    impl Stage for Failing {
        fn index(&self, segment: &Segment) -> Option<Box<dyn Staged>> {
            segment.position(Slot(3)).is_none().then(|| self.0.index(segment)).flatten()
        }

        fn fineness(&self) -> f64 {
            self.0.fineness()
        }
    }

    #[test]
    fn a_gallery_with_a_segment_that_could_not_be_indexed_is_searched_whole_by_sketches() {
        let failing: Arc<dyn Stage> = Arc::new(Failing(Arc::clone(&STAGES[1])));
        let gallery = gallery(&failing);
        gallery.insert_rounded((0..PEOPLE).map(row).collect()).unwrap();
        let threshold = Threshold::new(0.7).unwrap();
        let mut rng = synthetic::rng(2);
        for person in [0, 1, 2, 3, 6, 4_999] {
            let mate = synthetic::mate(&mut rng, &KNOWN[person].0, 0.75);
            let found = gallery.search(&[synthetic::protected(&mate, &TRANSFORM)], threshold).unwrap();
            let (Slot(slot), Compartment(compartment), _) = row(person);
            assert_eq!(passing(&found[0], threshold), [(compartment, slot)]);
        }
    }
}
