//! Memory for what is made of templates: on pages of 2 MB, so that finding a page takes no longer than reading it,
//! and never in a core dump.
#![expect(unsafe_code, reason = "bytes of a mapping are seen as lines")]

use memmap2::{Advice, MmapMut};
use zeroize::Zeroize;

use super::kernel::{LINE_BYTES, Line};

/// A number of lines that never changes, zeros at first. Wiped when dropped.
///
/// As many as fill pages of 2 MB lie on such pages, where the system has them; the rest, and all where they are few,
/// lie on ordinary ones, so that no memory is taken that isn't used.
pub(super) struct Lines {
    memory: Memory,
    len: usize,
}

enum Memory {
    /// From this byte on.
    Mapped(MmapMut, usize),
    Allocated(Vec<Line>),
}

impl Lines {
    pub(super) fn zeroed(len: usize) -> Self {
        let memory = mapped(len).unwrap_or_else(|| Memory::Allocated(vec![Line::default(); len]));
        Self { memory, len }
    }

    pub(super) fn as_slice(&self) -> &[Line] {
        match &self.memory {
            Memory::Mapped(map, start) => {
                let bytes = map.get(*start..).unwrap_or_default();
                // SAFETY: a line is bytes, and any bytes are a line.
                let (_, lines, _) = unsafe { bytes.align_to::<Line>() };
                lines.get(..self.len).unwrap_or_default()
            }
            Memory::Allocated(lines) => lines,
        }
    }

    pub(super) fn as_mut_slice(&mut self) -> &mut [Line] {
        match &mut self.memory {
            Memory::Mapped(map, start) => {
                let bytes = map.get_mut(*start..).unwrap_or_default();
                // SAFETY: a line is bytes, and any bytes are a line.
                let (_, lines, _) = unsafe { bytes.align_to_mut::<Line>() };
                lines.get_mut(..self.len).unwrap_or_default()
            }
            Memory::Allocated(lines) => lines,
        }
    }
}

impl Drop for Lines {
    fn drop(&mut self) {
        self.as_mut_slice().zeroize();
    }
}

/// A mapping whose pages of 2 MB begin with the first line; none for what fills no such page, or where the system
/// gives none. What lies before the first line and behind the last is never touched, and so takes no memory.
fn mapped(len: usize) -> Option<Memory> {
    let bytes = len.checked_mul(LINE_BYTES)?;
    let pages = bytes / PAGE_BYTES;
    if pages == 0 {
        return None;
    }
    let map = MmapMut::map_anon(bytes.checked_add(PAGE_BYTES)?).ok()?;
    let start = map.as_ptr().align_offset(PAGE_BYTES);
    map.get(start..start.checked_add(bytes)?)?;
    // Both are asked for in vain on some systems, and nothing depends on them.
    let _is_large = map.advise_range(Advice::HugePage, start, pages.checked_mul(PAGE_BYTES)?);
    let _is_left_out = map.advise(Advice::DontDump);
    Some(Memory::Mapped(map, start))
}

/// A large page of x86-64 and of most others.
const PAGE_BYTES: usize = 2 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_begin_with_zeros_and_hold_what_is_written_wherever_they_lie() {
        let page = PAGE_BYTES / LINE_BYTES;
        for len in [0, 1, page - 1, page, page + 1, 2 * page + 100] {
            let mut lines = Lines::zeroed(len);
            assert_eq!(lines.as_slice().len(), len);
            assert!(lines.as_slice().iter().all(|line| line.0 == [0; LINE_BYTES]), "{len} lines");
            for (nth, line) in lines.as_mut_slice().iter_mut().enumerate() {
                line.0[..8].copy_from_slice(&nth.to_le_bytes());
            }
            assert!(
                (0..len).eq(lines
                    .as_slice()
                    .iter()
                    .map(|line| { usize::from_le_bytes(std::array::from_fn(|byte| line.0[byte])) }))
            );
            let is_mapped = matches!(lines.memory, Memory::Mapped(..));
            assert_eq!(is_mapped, len >= page, "{len} lines");
            if is_mapped {
                assert_eq!(lines.as_slice().as_ptr().align_offset(PAGE_BYTES), 0, "{len} lines");
            }
        }
    }
}
