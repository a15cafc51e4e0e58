//! How much memory keys and values may take.

use std::alloc::{Layout, alloc_zeroed};

use sysinfo::{MemoryRefreshKind, System};

use super::EngineOptions;
use crate::llm::backend::ModelError;
use crate::llm::folder::CacheShape;
use crate::llm::load::LoadError;

/// Times that a prompt of the longest context is in memory while it is in work: where it is
/// read, in the pieces it is kept in, and beside its draws.
const COPIES: usize = 3;

/// A share of the free memory that is left to the query, the other models and the machine.
const LEFT_TO_OTHERS: usize = 4;

/// Bytes of keys and values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Room {
    /// Of decisions in flight.
    pub decisions: usize,
    /// Of recent prompts.
    pub prompts: usize,
}

/// Shares out `free` bytes of memory among what the options ask for.
///
/// # Errors
/// When one prompt as long as `context` does not fit.
pub fn plan(
    shape: CacheShape,
    context: usize,
    options: &EngineOptions,
    free: usize,
) -> Result<Room, LoadError> {
    let least = COPIES * context * shape.token_bytes();
    if least > free {
        return Err(LoadError::Memory {
            context,
            mib: least >> 20,
            free_mib: free >> 20,
            fits: free / (COPIES * shape.token_bytes()),
        });
    }
    let share = (free / LEFT_TO_OTHERS).max(least / COPIES);
    Ok(Room {
        decisions: options.cache_bytes.min(2 * share),
        prompts: options.prompt_cache_bytes.min(share),
    })
}

/// That there is no memory for `count` numbers.
pub fn lacking(count: usize) -> ModelError {
    ModelError::Memory(format!(
        "there is no memory for {} MiB more: free some, or open the model with less 'cache_mib', \
         'prompt_cache_mib' or 'max_context'",
        count.div_ceil((1 << 20) / size_of::<f32>())
    ))
}

/// `count` zeros, in memory that the system gives out page by page as it is written to.
///
/// # Errors
/// When there is no memory for them; a vector made otherwise would end the process.
pub fn zeros(count: usize) -> Result<Vec<f32>, ModelError> {
    if count == 0 {
        return Ok(Vec::new());
    }
    let layout = Layout::array::<f32>(count).map_err(|_| lacking(count))?;
    // SAFETY: the layout is not of size 0.
    let memory = unsafe { alloc_zeroed(layout) }.cast::<f32>();
    if memory.is_null() {
        return Err(lacking(count));
    }
    // SAFETY: the memory is the global allocator's, of the layout of so many numbers, and zeros
    // are numbers.
    Ok(unsafe { Vec::from_raw_parts(memory, count, count) })
}

/// Bytes of memory that this process could still take: those of the machine, or of the control
/// group that it runs in. Files that the system has cached count as free.
pub fn free() -> usize {
    let mut system = System::new();
    system.refresh_memory_specifics(MemoryRefreshKind::nothing().with_ram());
    let machine = system.available_memory();
    let group = system.cgroup_limits();
    let group = group.map(|limits| limits.total_memory.saturating_sub(limits.rss));
    let free = machine.min(group.unwrap_or(u64::MAX));
    usize::try_from(free).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 1 KiB a token.
    const SHAPE: CacheShape = CacheShape {
        layers: 2,
        heads: 2,
        width: 32,
    };

    #[test]
    fn options_are_kept_where_memory_is_plenty() {
        let options = EngineOptions::default();
        let room = plan(SHAPE, 8192, &options, 64 << 30).unwrap();
        assert_eq!(room.decisions, options.cache_bytes);
        assert_eq!(room.prompts, options.prompt_cache_bytes);
    }

    #[test]
    fn they_shrink_with_the_memory() {
        let options = EngineOptions::default();
        let room = plan(SHAPE, 8192, &options, 400 << 20).unwrap();
        assert_eq!((room.decisions, room.prompts), (200 << 20, 100 << 20));
        // The longest prompt fits, whatever else does not.
        let room = plan(SHAPE, 8192, &options, 24 << 20).unwrap();
        assert_eq!((room.decisions, room.prompts), (16 << 20, 8 << 20));
    }

    #[test]
    fn a_context_that_cannot_fit_is_refused_with_one_that_can() {
        let options = EngineOptions::default();
        let error = plan(SHAPE, 8192, &options, 12 << 20).unwrap_err();
        let message = error.to_string();
        for part in ["8192 tokens", "24 MiB", "12 MiB", "'max_context' '4096'"] {
            assert!(message.contains(part), "{message}");
        }
    }

    #[test]
    fn memory_that_there_is_not_is_an_error() {
        assert_eq!(zeros(3).unwrap(), [0.0; 3]);
        assert!(zeros(0).unwrap().is_empty());
        for count in [usize::MAX, 1 << 58] {
            let error = zeros(count).unwrap_err();
            assert!(matches!(error, ModelError::Memory(_)), "{error}");
        }
    }

    #[test]
    fn this_machine_has_memory() {
        assert!(free() > 64 << 20);
    }
}
