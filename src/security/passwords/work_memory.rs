//! The block buffer in which a worker runs argon2.
//!
//! argon2's own allocation costs 19 MiB a hash; under glibc the freed buffers of several threads grew a process about
//! eleven-fold. A worker therefore owns one buffer, makes it when the first argon2 hash needs it, and keeps it, so
//! that the memory is workers × `argon2_memory_kib` and no more.

use std::fmt;

use argon2::Block;

/// One worker's argon2 buffer; empty until it is first needed.
///
/// Not overwritten between hashes: the next one overwrites it anyway, and whoever reads a server's memory finds
/// the passwords of the requests beside it.
pub struct WorkMemory {
    blocks: Vec<Block>,
    kept_blocks: usize,
}

impl WorkMemory {
    /// A buffer that keeps at most `kept_kib` KiB between jobs.
    ///
    /// An imported hash may ask for more than today's setting; its memory is given back when its job is done.
    #[must_use]
    pub fn new(kept_kib: u32) -> Self {
        Self {
            blocks: Vec::new(),
            kept_blocks: usize::try_from(kept_kib).unwrap_or(usize::MAX),
        }
    }

    /// `count` blocks of 1 KiB with arbitrary content, which argon2 overwrites before it reads.
    ///
    /// # Errors
    /// [`OutOfMemory`] where the system has none to give; a plain allocation would end the process.
    pub fn blocks(&mut self, count: usize) -> Result<&mut [Block], OutOfMemory> {
        if self.blocks.len() < count {
            // Freed first: growing would hold both buffers and copy worthless content.
            self.blocks = Vec::new();
            self.blocks.try_reserve_exact(count).map_err(|_| OutOfMemory)?;
            self.blocks.resize(count, Block::new());
        }
        self.blocks.get_mut(..count).ok_or(OutOfMemory)
    }

    /// Gives back what a job took beyond the kept size; the pool calls it after each job.
    pub fn settle(&mut self) {
        if self.blocks.len() > self.kept_blocks {
            self.blocks = Vec::new();
        }
    }
}

impl fmt::Debug for WorkMemory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "WorkMemory({} KiB)", self.blocks.len())
    }
}

/// The system gave no memory for an argon2 buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OutOfMemory;
