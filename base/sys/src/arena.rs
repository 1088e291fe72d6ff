//! The allocator of a short-lived process: pieces of the program's own zeroed memory, which cost no system call and
//! are only ever given back with the process; the system's allocator for what is large, and when it is full.
//!
//! A command that starts a container allocates some hundred small things and is gone in a few milliseconds: mapping
//! and unmapping memory for them is a tenth of its work. A process that lives on switches it off.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::UnsafeCell;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

/// Bytes of it; untouched ones take no memory.
const SIZE: usize = 512 << 10;

/// A larger piece is mapped by itself.
const LARGEST: usize = 16 << 10;

#[repr(align(4096))]
struct Memory(UnsafeCell<[u8; SIZE]>);

// SAFETY: every byte is handed out to one owner at a time: `NEXT` moves by compare-and-exchange, and a piece that one
// thread gives back (release) is taken by another (acquire) after everything the first did with it.
unsafe impl Sync for Memory {}

static MEMORY: Memory = Memory(UnsafeCell::new([0; SIZE]));
/// The offset of the first free byte.
static NEXT: AtomicUsize = AtomicUsize::new(0);
static OPEN: AtomicBool = AtomicBool::new(true);

/// Gives out no more pieces: for a process that stays.
pub fn close() {
    OPEN.store(false, Ordering::Relaxed);
}

/// Gives out pieces again: for a process that is about to become another program.
pub fn open() {
    OPEN.store(true, Ordering::Relaxed);
}

/// For `#[global_allocator]`.
#[derive(Debug)]
pub struct Arena;

impl Arena {
    fn start() -> usize {
        MEMORY.0.get() as usize
    }

    /// The offset of a piece of the arena.
    fn offset(piece: *mut u8) -> Option<usize> {
        (piece as usize).checked_sub(Self::start()).filter(|&offset| offset < SIZE)
    }

    fn take(layout: Layout) -> Option<*mut u8> {
        if layout.size() > LARGEST || !OPEN.load(Ordering::Relaxed) {
            return None;
        }
        let first = |next: usize| (Self::start() + next).next_multiple_of(layout.align()) - Self::start();
        let end = |next| Some(first(next) + layout.size()).filter(|&end| end <= SIZE);
        let taken = NEXT.fetch_update(Ordering::AcqRel, Ordering::Acquire, end).ok()?;
        Some(MEMORY.0.get().cast::<u8>().wrapping_add(first(taken)))
    }

    /// Moves the end of the last piece; false where it is not the last, or there is no room.
    fn resize_last(offset: usize, from: usize, to: usize) -> bool {
        offset + to <= SIZE
            && NEXT.compare_exchange(offset + from, offset + to, Ordering::Relaxed, Ordering::Relaxed).is_ok()
    }
}

// SAFETY: a piece is inside the arena, aligned, and nobody else's until it is given back; all others are the system
// allocator's, and go back to it.
unsafe impl GlobalAlloc for Arena {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        match Self::take(layout) {
            Some(piece) => piece,
            // SAFETY: the caller's promise about the layout is passed on.
            None => unsafe { System.alloc(layout) },
        }
    }

    unsafe fn dealloc(&self, piece: *mut u8, layout: Layout) {
        match Self::offset(piece) {
            Some(offset) => {
                // Only the last piece can be used again.
                Self::resize_last(offset, layout.size(), 0);
            }
            // SAFETY: it came from the system's allocator with this layout.
            None => unsafe { System.dealloc(piece, layout) },
        }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        match Self::take(layout) {
            Some(piece) => {
                // SAFETY: the piece is layout.size() bytes long and ours; one that was given back may not be zero.
                unsafe { piece.write_bytes(0, layout.size()) };
                piece
            }
            // SAFETY: the caller's promise about the layout is passed on.
            None => unsafe { System.alloc_zeroed(layout) },
        }
    }

    unsafe fn realloc(&self, piece: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        let Some(offset) = Self::offset(piece) else {
            // SAFETY: it came from the system's allocator with this layout.
            return unsafe { System.realloc(piece, layout, size) };
        };
        if size <= LARGEST && Self::resize_last(offset, layout.size(), size) {
            return piece;
        }
        // SAFETY: GlobalAlloc::realloc demands a size that makes a layout with this alignment.
        let wanted = unsafe { Layout::from_size_align_unchecked(size, layout.align()) };
        // SAFETY: the layout is valid and, as the caller promised, not empty.
        let moved = unsafe { self.alloc(wanted) };
        if !moved.is_null() {
            // SAFETY: both are live, apart, and at least the smaller size long.
            unsafe { moved.copy_from_nonoverlapping(piece, layout.size().min(size)) };
            // SAFETY: the piece was ours with this layout and is not used any more.
            unsafe { self.dealloc(piece, layout) };
        }
        moved
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layout(size: usize, align: usize) -> Layout {
        Layout::from_size_align(size, align).unwrap()
    }

    fn take(size: usize, align: usize) -> *mut u8 {
        // SAFETY: no size here is zero.
        unsafe { Arena.alloc(layout(size, align)) }
    }

    fn give(piece: *mut u8, size: usize, align: usize) {
        // SAFETY: the tests give back what they took, as they took it, once.
        unsafe { Arena.dealloc(piece, layout(size, align)) }
    }

    fn resize(piece: *mut u8, from: usize, to: usize, align: usize) -> *mut u8 {
        // SAFETY: the tests resize what they took, as they took it.
        unsafe { Arena.realloc(piece, layout(from, align), to) }
    }

    /// One test, because there is one arena in a process.
    #[test]
    fn pieces_are_apart_and_aligned_and_the_last_one_is_resized_in_place() {
        let first = take(3, 1);
        let second = take(64, 64);
        assert!(Arena::offset(first).is_some() && (second as usize).is_multiple_of(64));
        assert!(second as usize >= first as usize + 3);
        // SAFETY: the piece is 64 bytes long.
        unsafe { second.write_bytes(7, 64) };
        assert_eq!(resize(second, 64, 128, 64), second);
        let third = take(8, 8);
        let moved = resize(second, 128, 256, 64);
        assert_ne!(moved, second);
        // SAFETY: the piece is 256 bytes long and its first 64 are written.
        assert_eq!(unsafe { moved.wrapping_add(63).read() }, 7);
        give(moved, 256, 64);
        // SAFETY: the size is not zero.
        let zeroed = unsafe { Arena.alloc_zeroed(layout(256, 64)) };
        // SAFETY: alloc_zeroed has written it.
        assert_eq!((zeroed, unsafe { zeroed.read() }), (moved, 0));
        let grown = resize(third, 8, LARGEST + 1, 8);
        assert!(Arena::offset(grown).is_none());
        give(grown, LARGEST + 1, 8);
        close();
        let closed = take(8, 8);
        assert!(Arena::offset(closed).is_none());
        give(closed, 8, 8);
        open();
        let full: Vec<_> = (0..=SIZE / LARGEST).map(|_| take(LARGEST, 8)).collect();
        assert!(full.iter().any(|piece| Arena::offset(*piece).is_none()));
        full.into_iter().rev().for_each(|piece| give(piece, LARGEST, 8));
    }
}
