//! The machine's own memory.

use std::alloc::{Layout, alloc_zeroed, dealloc};
use std::ptr::{NonNull, copy_nonoverlapping};

use ort::memory::{AllocationDevice, AllocatorType, MemoryInfo, MemoryType};
use sysinfo::{MemoryRefreshKind, System};

use super::{Memory, Pitches};
use crate::llm::backend::ModelError;

/// The most for which the system gives out zeros page by page, as they are written to. What is
/// aligned to more would be zeroed at once, and a large cache is seldom full.
const ALIGNMENT: usize = 16;

/// The machine's own memory. What no token has reached is never touched, so that the operating
/// system does not give it out: much room costs what is used of it.
#[derive(Debug)]
pub struct Host;

impl Memory for Host {
    fn allocate(&self, bytes: usize) -> Option<NonNull<u8>> {
        let layout = Layout::from_size_align(bytes, ALIGNMENT).ok()?;
        // SAFETY: the layout is not of size 0.
        NonNull::new(unsafe { alloc_zeroed(layout) })
    }

    unsafe fn release(&self, memory: NonNull<u8>, bytes: usize) {
        if let Ok(layout) = Layout::from_size_align(bytes, ALIGNMENT) {
            // SAFETY: it was allocated with this layout.
            unsafe { dealloc(memory.as_ptr(), layout) }
        }
    }

    unsafe fn copy(&self, to: NonNull<u8>, from: NonNull<u8>, lines: Pitches) {
        let Pitches { bytes, .. } = lines;
        let (to, from) = (to.as_ptr(), from.as_ptr());
        if lines.to == bytes && lines.from == bytes {
            // SAFETY: the lines follow each other without a gap, and do not overlap.
            return unsafe { copy_nonoverlapping(from, to, bytes * lines.lines) };
        }
        for line in 0..lines.lines {
            // SAFETY: every line is in memory, as the caller promises.
            unsafe {
                copy_nonoverlapping(from.add(line * lines.from), to.add(line * lines.to), bytes);
            }
        }
    }

    unsafe fn write(&self, to: NonNull<u8>, from: NonNull<u8>, lines: Pitches) {
        // SAFETY: the same memory.
        unsafe { self.copy(to, from, lines) }
    }

    /// Bytes of memory that this process could still take: those of the machine, or of the
    /// control group that it runs in. Files that the system has cached count as free.
    fn free(&self) -> usize {
        let mut system = System::new();
        system.refresh_memory_specifics(MemoryRefreshKind::nothing().with_ram());
        let machine = system.available_memory();
        let group = system.cgroup_limits();
        let group = group.map(|limits| limits.total_memory.saturating_sub(limits.rss));
        let free = machine.min(group.unwrap_or(u64::MAX));
        usize::try_from(free).unwrap_or(usize::MAX)
    }

    fn room(&self) -> (usize, usize) {
        (2 << 30, 512 << 20)
    }

    fn settle(&self) -> Result<(), ModelError> {
        Ok(())
    }

    fn info(&self) -> ort::Result<MemoryInfo<'static>> {
        MemoryInfo::new(
            AllocationDevice::CPU,
            0,
            AllocatorType::Device,
            MemoryType::Default,
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_that_there_is_not_is_none() {
        for bytes in [usize::MAX, 1 << 60] {
            assert_eq!(Host.allocate(bytes), None);
        }
    }

    /// Bytes of this process that are in memory.
    fn resident() -> usize {
        let pages = std::fs::read_to_string("/proc/self/statm").unwrap();
        4096 * pages.split(' ').nth(1).unwrap().parse::<usize>().unwrap()
    }

    #[test]
    fn room_that_is_not_used_costs_nothing() {
        const ROOM: usize = 4 << 30;
        let before = resident();
        let memory = Host.allocate(ROOM).unwrap();
        let grown = resident().saturating_sub(before);
        // SAFETY: it was allocated above.
        unsafe { Host.release(memory, ROOM) };
        // Other tests take memory too, but not so much.
        assert!(grown < ROOM / 2, "{grown} bytes");
    }

    #[test]
    fn this_machine_has_memory() {
        assert!(Host.free() > 64 << 20);
    }
}
