//! Where keys and values are kept: in the memory of the device that computes with them.
//!
//! A [`Buffer`] is copied from and to line by line, by the same code wherever it is.

pub mod cuda;
pub mod host;

use std::fmt::Debug;
use std::ptr::NonNull;
use std::sync::Arc;

use half::f16;
use ort::memory::MemoryInfo;
use ort::value::{DynValueRefMut, PrimitiveTensorElementType, Shape, TensorRefMut};

use super::backend::ModelError;
use super::folder::CacheShape;

/// How a number is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Number {
    /// In 32 bits.
    F32,
    /// In 16 bits, as IEEE 754 says.
    F16,
}

impl Number {
    /// Its bytes.
    pub fn size(self) -> usize {
        match self {
            Self::F32 => size_of::<f32>(),
            Self::F16 => size_of::<f16>(),
        }
    }
}

/// The memory of a device. What is asked of it may still be under way when a call returns.
pub trait Memory: Debug + Send + Sync {
    /// Zeros in so many bytes, at least one; none where there is no memory for them.
    fn allocate(&self, bytes: usize) -> Option<NonNull<u8>>;

    /// Gives back what [`Self::allocate`] gave out.
    ///
    /// # Safety
    /// It is of this memory and of so many bytes, and nobody uses it from now on.
    unsafe fn release(&self, memory: NonNull<u8>, bytes: usize);

    /// Copies lines that do not overlap.
    ///
    /// # Safety
    /// All of them are in memory that was allocated here.
    unsafe fn copy(&self, to: NonNull<u8>, from: NonNull<u8>, lines: Pitches);

    /// Copies lines out of this process's own memory, which is free to change afterwards.
    ///
    /// # Safety
    /// `to` is in memory that was allocated here, and all lines of `from` can be read.
    unsafe fn write(&self, to: NonNull<u8>, from: NonNull<u8>, lines: Pitches);

    /// Bytes that could still be allocated.
    fn free(&self) -> usize;

    /// The most bytes of keys and values of decisions in flight, and of recent prompts, where
    /// nobody says.
    fn room(&self) -> (usize, usize);

    /// Waits for what is under way.
    ///
    /// # Errors
    /// When the device has failed since it was last asked.
    fn settle(&self) -> Result<(), ModelError>;

    /// What ONNX Runtime calls it.
    ///
    /// # Errors
    /// When ONNX Runtime knows no such memory.
    fn info(&self) -> ort::Result<MemoryInfo<'static>>;
}

/// Lines of bytes, and how far apart they begin on either side.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pitches {
    /// How many lines.
    pub lines: usize,
    /// Bytes of a line.
    pub bytes: usize,
    /// From the beginning of a line to that of the next, where they are copied to.
    pub to: usize,
    /// The same where they come from.
    pub from: usize,
}

/// What keys and values are, and where.
#[derive(Debug, Clone)]
pub struct Store {
    /// How many numbers a token has.
    pub shape: CacheShape,
    /// How each is stored.
    pub number: Number,
    /// Where.
    pub memory: Arc<dyn Memory>,
}

impl Store {
    /// Bytes of one token's keys and values.
    pub fn token_bytes(&self) -> usize {
        self.shape.token_numbers() * self.number.size()
    }
}

/// Where lines of numbers begin in a buffer.
#[derive(Debug, Clone, Copy)]
pub struct Lines {
    /// The first.
    pub first: usize,
    /// From the beginning of a line to that of the next.
    pub pitch: usize,
}

/// Numbers in the memory of a device.
#[derive(Debug)]
pub struct Buffer {
    number: Number,
    memory: Arc<dyn Memory>,
    /// How many numbers.
    count: usize,
    /// None where there are no numbers.
    start: Option<NonNull<u8>>,
}

// SAFETY: the memory is the buffer's own, and any thread may use it.
unsafe impl Send for Buffer {}

impl Buffer {
    /// `count` zeros.
    ///
    /// # Errors
    /// When there is no memory for them.
    pub fn zeros(store: &Store, count: usize) -> Result<Self, ModelError> {
        let mut buffer = Self {
            number: store.number,
            memory: Arc::clone(&store.memory),
            count,
            start: None,
        };
        if count > 0 {
            let bytes = count.checked_mul(store.number.size());
            let start = bytes.and_then(|bytes| buffer.memory.allocate(bytes));
            buffer.start = Some(start.ok_or_else(|| lacking(count))?);
        }
        Ok(buffer)
    }

    /// How many numbers there are.
    #[cfg(test)]
    pub fn count(&self) -> usize {
        self.count
    }

    /// Copies `lines` lines of `width` numbers from another buffer of the same memory.
    pub fn copy(&mut self, to: Lines, from: &Self, of: Lines, lines: usize, width: usize) {
        self.copy_from(to, from.at(of, lines, width), of.pitch, lines, width);
    }

    /// The same from elsewhere in this buffer; the lines do not overlap.
    pub fn copy_within(&mut self, to: Lines, of: Lines, lines: usize, width: usize) {
        self.copy_from(to, self.at(of, lines, width), of.pitch, lines, width);
    }

    /// Copies lines that begin at `source`, none when they have no numbers.
    fn copy_from(
        &mut self,
        to: Lines,
        source: Option<NonNull<u8>>,
        pitch: usize,
        lines: usize,
        width: usize,
    ) {
        if let (Some(target), Some(source)) = (self.at(to, lines, width), source) {
            let pitches = self.pitches(to, pitch, lines, width);
            // SAFETY: both have the lines, as `at` has checked.
            unsafe { self.memory.copy(target, source, pitches) }
        }
    }

    /// Writes `numbers` in lines of `width`.
    pub fn write(&mut self, to: Lines, numbers: &[f32], width: usize) {
        let lines = numbers.len() / width.max(1);
        let Some(target) = self.at(to, lines, width) else {
            return;
        };
        let pitches = self.pitches(to, width, lines, width);
        let write = |from: *const u8| {
            if let Some(from) = NonNull::new(from.cast_mut()) {
                // SAFETY: the lines are there, as was checked, and there are as many numbers.
                unsafe { self.memory.write(target, from, pitches) }
            }
        };
        match self.number {
            Number::F32 => write(numbers.as_ptr().cast()),
            Number::F16 => {
                let halves: Vec<_> = numbers.iter().copied().map(f16::from_f32).collect();
                write(halves.as_ptr().cast());
            }
        }
    }

    /// The first numbers as a tensor of this shape, which a model may write to.
    ///
    /// # Errors
    /// When ONNX Runtime takes no such tensor.
    pub fn tensor(&mut self, shape: [usize; 4]) -> ort::Result<DynValueRefMut<'_>> {
        // SAFETY: the buffer is borrowed mutably for as long.
        unsafe { self.shared_tensor(shape) }
    }

    /// The same, for a model that only reads it.
    ///
    /// # Safety
    /// The tensor is an input, and no output.
    ///
    /// # Errors
    /// As [`Self::tensor`].
    pub unsafe fn shared_tensor(&self, shape: [usize; 4]) -> ort::Result<DynValueRefMut<'_>> {
        // SAFETY: as the caller promises.
        match self.number {
            Number::F32 => unsafe { self.typed::<f32>(shape) },
            Number::F16 => unsafe { self.typed::<f16>(shape) },
        }
    }

    /// # Safety
    /// Numbers are of type `T`; else as [`Self::shared_tensor`].
    unsafe fn typed<T: PrimitiveTensorElementType + Debug>(
        &self,
        shape: [usize; 4],
    ) -> ort::Result<DynValueRefMut<'_>> {
        assert!(shape.iter().product::<usize>() <= self.count, "{shape:?}");
        let start = self.start.unwrap_or(NonNull::dangling());
        let shape = Shape::new(shape.map(|size| size as i64));
        // SAFETY: the memory is there, and lives as long as the borrow.
        let tensor = unsafe {
            TensorRefMut::<T>::from_raw(self.memory.info()?, start.as_ptr().cast(), shape)?
        };
        Ok(tensor.into_dyn())
    }

    /// Where lines begin, which must be in the buffer; none when they have no numbers.
    fn at(&self, of: Lines, lines: usize, width: usize) -> Option<NonNull<u8>> {
        if lines * width == 0 {
            return None;
        }
        let end = of.first + (lines - 1) * of.pitch + width;
        assert!(end <= self.count, "{end} of {} numbers", self.count);
        // SAFETY: the place is in the buffer.
        let at = |start: NonNull<u8>| unsafe { start.add(of.first * self.number.size()) };
        self.start.map(at)
    }

    fn pitches(&self, to: Lines, from: usize, lines: usize, width: usize) -> Pitches {
        let size = self.number.size();
        Pitches {
            lines,
            bytes: width * size,
            to: to.pitch * size,
            from: from * size,
        }
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        if let Some(start) = self.start {
            // SAFETY: it was allocated there, of this size, and is nobody else's.
            unsafe { self.memory.release(start, self.count * self.number.size()) }
        }
    }
}

/// That there is no memory for `count` numbers.
pub fn lacking(count: usize) -> ModelError {
    ModelError::Memory(format!(
        "there is no memory for {} MiB more: free some, or open the model with less 'cache_mib', \
         'prompt_cache_mib' or 'max_context'",
        count.div_ceil((1 << 20) / size_of::<f32>())
    ))
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// Two heads of two numbers in one layer.
    pub const SHAPE: CacheShape = CacheShape {
        layers: 1,
        heads: 2,
        width: 2,
    };

    /// Stores of every kind.
    pub fn stores(shape: CacheShape) -> [Store; 3] {
        let store = |number, memory| Store {
            shape,
            number,
            memory,
        };
        [
            store(Number::F32, Arc::new(host::Host) as Arc<dyn Memory>),
            store(Number::F16, Arc::new(host::Host)),
            store(Number::F16, Arc::new(cuda::tests::pretended())),
        ]
    }

    /// Fills a buffer with numbers that count up from `first`.
    pub fn counting(buffer: &mut Buffer, first: usize) {
        let numbers = first..first + buffer.count;
        let numbers: Vec<_> = numbers.map(|number| number as f32).collect();
        buffer.write(Lines { first: 0, pitch: 1 }, &numbers, 1);
    }

    /// All numbers of a buffer, whose memory this process can read.
    pub fn numbers(buffer: &Buffer) -> Vec<f32> {
        let Some(start) = buffer.start else {
            return Vec::new();
        };
        let at = |index| {
            // SAFETY: so many numbers of this type are there.
            unsafe {
                match buffer.number {
                    Number::F32 => *start.cast::<f32>().add(index).as_ptr(),
                    Number::F16 => (*start.cast::<f16>().add(index).as_ptr()).to_f32(),
                }
            }
        };
        (0..buffer.count).map(at).collect()
    }

    #[test]
    fn lines_are_copied_between_pitches() {
        for store in stores(SHAPE) {
            let mut from = Buffer::zeros(&store, 6).unwrap();
            counting(&mut from, 1);
            let mut to = Buffer::zeros(&store, 8).unwrap();
            let (at, of) = (Lines { first: 1, pitch: 4 }, Lines { first: 0, pitch: 3 });
            to.copy(at, &from, of, 2, 2);
            assert_eq!(numbers(&to), [0., 1., 2., 0., 0., 4., 5., 0.]);
            to.copy_within(Lines { first: 6, pitch: 1 }, at, 1, 2);
            assert_eq!(numbers(&to)[4..], [0., 4., 1., 2.]);
            to.write(Lines { first: 0, pitch: 3 }, &[8., 9.], 1);
            assert_eq!(numbers(&to), [8., 1., 2., 9., 0., 4., 1., 2.]);
            store.memory.settle().unwrap();
        }
    }

    #[test]
    fn memory_that_there_is_not_is_an_error() {
        for store in stores(SHAPE) {
            for count in [usize::MAX, 1 << 58] {
                let error = Buffer::zeros(&store, count).unwrap_err();
                assert!(matches!(error, ModelError::Memory(_)), "{error}");
            }
            assert!(numbers(&Buffer::zeros(&store, 0).unwrap()).is_empty());
        }
    }

    #[test]
    #[should_panic(expected = "of 4 numbers")]
    fn a_line_beyond_the_end_is_refused() {
        let [store, ..] = stores(SHAPE);
        let mut buffer = Buffer::zeros(&store, 4).unwrap();
        buffer.write(Lines { first: 2, pitch: 1 }, &[0.; 3], 1);
    }
}
