//! How much memory keys and values may take.

use crate::llm::load::LoadError;
use crate::llm::store::Store;

/// Times that a prompt of the longest context is in memory while it is in work: where it is
/// read, where it is laid out anew, in the pieces it is kept in, and beside its draws.
const COPIES: usize = 4;

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

/// Shares out `free` bytes of memory among what is wanted.
///
/// # Errors
/// When one prompt as long as `context` does not fit.
pub fn plan(store: &Store, context: usize, wanted: Room, free: usize) -> Result<Room, LoadError> {
    let least = COPIES * context * store.token_bytes();
    if least > free {
        return Err(LoadError::Memory {
            context,
            mib: least >> 20,
            free_mib: free >> 20,
            fits: free / (COPIES * store.token_bytes()),
        });
    }
    let share = (free / LEFT_TO_OTHERS).max(least / COPIES);
    Ok(Room {
        decisions: wanted.decisions.min(2 * share),
        prompts: wanted.prompts.min(share),
    })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::llm::folder::CacheShape;
    use crate::llm::store::Number;
    use crate::llm::store::host::Host;

    const WANTED: Room = Room {
        decisions: 2 << 30,
        prompts: 512 << 20,
    };

    /// 1 KiB a token.
    fn store() -> Store {
        Store {
            shape: CacheShape {
                layers: 2,
                heads: 2,
                width: 32,
            },
            number: Number::F32,
            memory: Arc::new(Host),
        }
    }

    #[test]
    fn options_are_kept_where_memory_is_plenty() {
        let room = plan(&store(), 8192, WANTED, 64 << 30).unwrap();
        assert_eq!(room, WANTED);
    }

    #[test]
    fn they_shrink_with_the_memory() {
        let room = plan(&store(), 8192, WANTED, 400 << 20).unwrap();
        assert_eq!((room.decisions, room.prompts), (200 << 20, 100 << 20));
        // The longest prompt fits, whatever else does not.
        let room = plan(&store(), 8192, WANTED, 32 << 20).unwrap();
        assert_eq!((room.decisions, room.prompts), (16 << 20, 8 << 20));
    }

    #[test]
    fn a_context_that_cannot_fit_is_refused_with_one_that_can() {
        let error = plan(&store(), 8192, WANTED, 16 << 20).unwrap_err();
        let message = error.to_string();
        for part in ["8192 tokens", "32 MiB", "16 MiB", "'max_context' '4096'"] {
            assert!(message.contains(part), "{message}");
        }
    }
}
