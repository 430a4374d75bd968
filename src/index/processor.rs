//! Whether this processor has the instructions that the program was built with.

use super::IndexError;

/// Checks at start that the processor has the instruction set of x86-64-v3, for which Faiss is built: it
/// chooses none at run time and would stop the program in the middle of a search.
///
/// # Errors
/// [`IndexError::Processor`] with the first feature that is missing.
pub fn require_processor() -> Result<(), IndexError> {
    match features().into_iter().find(|(_, there)| !there) {
        Some((missing, _)) => Err(IndexError::Processor(missing)),
        None => Ok(()),
    }
}

/// What x86-64-v3 adds to every 64-bit processor (System V ABI, AMD64 supplement, section 3.1.1), as far as
/// compilers use it by themselves.
#[cfg(target_arch = "x86_64")]
fn features() -> [(&'static str, bool); 9] {
    use std::arch::is_x86_feature_detected;
    [
        ("avx", is_x86_feature_detected!("avx")),
        ("avx2", is_x86_feature_detected!("avx2")),
        ("bmi1", is_x86_feature_detected!("bmi1")),
        ("bmi2", is_x86_feature_detected!("bmi2")),
        ("f16c", is_x86_feature_detected!("f16c")),
        ("fma", is_x86_feature_detected!("fma")),
        ("lzcnt", is_x86_feature_detected!("lzcnt")),
        ("movbe", is_x86_feature_detected!("movbe")),
        ("popcnt", is_x86_feature_detected!("popcnt")),
    ]
}

#[cfg(not(target_arch = "x86_64"))]
fn features() -> [(&'static str, bool); 0] {
    []
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_processor_of_the_tests_is_new_enough() {
        assert!(require_processor().is_ok(), "run the tests on a processor of level x86-64-v3");
    }

    #[test]
    fn the_refusal_names_what_is_missing() {
        let text = IndexError::Processor("avx2").to_string();
        assert!(text.contains("`avx2`"), "say which feature is missing, not `{text}`");
    }
}
