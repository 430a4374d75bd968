//! The few calls into native libraries that their crates don't wrap. Nothing else here is unsafe.
#![expect(unsafe_code, reason = "foreign functions without safe wrappers, each with its reason")]

use std::ffi::c_int;
use std::ptr;
use std::slice;

use faiss::FlatIndex;
use faiss::index::NativeIndex;
use zeroize::Zeroize;

#[link(name = "gomp")]
unsafe extern "C" {
    fn omp_set_num_threads(threads: c_int);
}

#[link(name = "openblas")]
unsafe extern "C" {
    fn openblas_set_num_threads(threads: c_int);
}

/// Keeps searches that are started on this thread from starting threads of their own through OpenMP, which
/// remembers this number thread by thread.
pub(super) fn stay_on_this_thread() {
    // SAFETY: takes a number and sets a variable of this thread (OpenMP 5.0, section 3.2.1).
    unsafe { omp_set_num_threads(1) }
}

/// Keeps OpenBLAS from starting threads, in the whole process: beside a pool of ours they made searches three
/// times slower.
pub(super) fn stay_within_our_threads() {
    // SAFETY: takes a number; OpenBLAS guards the change with its own lock.
    unsafe { openblas_set_num_threads(1) }
}

/// Wipes the vectors that an index holds, which Faiss itself would free as they are.
pub(super) fn wipe(index: &mut FlatIndex) {
    let (mut vectors, mut components) = (ptr::null_mut(), 0);
    // SAFETY: the index is a living flat index; the call only writes the two results.
    unsafe { faiss_sys::faiss_IndexFlat_xb(index.inner_ptr(), &raw mut vectors, &raw mut components) }
    if !vectors.is_null() {
        // SAFETY: Faiss owns so many components there, and `&mut` says that nobody else reads them.
        unsafe { slice::from_raw_parts_mut(vectors, components) }.zeroize();
    }
}

#[cfg(test)]
mod tests {
    use faiss::Index;

    use super::*;

    #[test]
    fn a_wiped_index_holds_only_zeros() {
        let mut index = FlatIndex::new_ip(4).unwrap();
        wipe(&mut index);
        index.add(&[1.0; 12]).unwrap();
        assert_eq!(index.xb(), [1.0; 12]);
        wipe(&mut index);
        assert_eq!(index.xb(), [0.0; 12], "freed memory would still show templates");
    }
}
