//! The memory of a GPU, by NVIDIA's CUDA runtime library.
//!
//! The library is the one that ONNX Runtime's CUDA provider uses, and like it is looked for when a
//! model is to run on a GPU, not before.

use std::ffi::{CStr, c_char, c_int, c_void};
use std::ptr::{NonNull, null_mut};
use std::sync::Arc;
use std::sync::atomic::{AtomicI32, Ordering};

use libloading::Library;
use ort::memory::{AllocationDevice, AllocatorType, MemoryInfo, MemoryType};

use super::{Memory, Pitches};
use crate::llm::backend::ModelError;

/// Its names, newest first.
const LIBRARIES: [&str; 3] = ["libcudart.so.13", "libcudart.so.12", "libcudart.so"];

const SUCCESS: c_int = 0;
const HOST_TO_DEVICE: c_int = 1;
const DEVICE_TO_DEVICE: c_int = 3;

/// The library's functions, as CUDA's runtime interface documents them.
#[derive(Debug)]
pub struct Functions {
    get_device_count: unsafe extern "C" fn(*mut c_int) -> c_int,
    set_device: unsafe extern "C" fn(c_int) -> c_int,
    mem_get_info: unsafe extern "C" fn(*mut usize, *mut usize) -> c_int,
    malloc: unsafe extern "C" fn(*mut *mut c_void, usize) -> c_int,
    free: unsafe extern "C" fn(*mut c_void) -> c_int,
    memset: unsafe extern "C" fn(*mut c_void, c_int, usize) -> c_int,
    memcpy_2d: unsafe extern "C" fn(
        *mut c_void,
        usize,
        *const c_void,
        usize,
        usize,
        usize,
        c_int,
    ) -> c_int,
    synchronize: unsafe extern "C" fn() -> c_int,
    get_last_error: unsafe extern "C" fn() -> c_int,
    error_string: unsafe extern "C" fn(c_int) -> *const c_char,
}

impl Functions {
    /// Loads the library.
    ///
    /// # Errors
    /// When there is none, or it is another.
    pub fn load() -> Result<Self, libloading::Error> {
        // SAFETY: NVIDIA's library does nothing when it is loaded that a process must prepare for.
        let open = |name| unsafe { Library::new(name) };
        let [newest, older @ ..] = LIBRARIES;
        let library = open(newest).or_else(|error| {
            let mut older = older.into_iter();
            older.find_map(|name| open(name).ok()).ok_or(error)
        })?;
        // SAFETY: names and types are those of CUDA's runtime interface.
        let functions = unsafe {
            Self {
                get_device_count: *library.get(b"cudaGetDeviceCount")?,
                set_device: *library.get(b"cudaSetDevice")?,
                mem_get_info: *library.get(b"cudaMemGetInfo")?,
                malloc: *library.get(b"cudaMalloc")?,
                free: *library.get(b"cudaFree")?,
                memset: *library.get(b"cudaMemset")?,
                memcpy_2d: *library.get(b"cudaMemcpy2D")?,
                synchronize: *library.get(b"cudaDeviceSynchronize")?,
                get_last_error: *library.get(b"cudaGetLastError")?,
                error_string: *library.get(b"cudaGetErrorString")?,
            }
        };
        // It stays for as long as the process, as the functions are used till its end.
        std::mem::forget(library);
        Ok(functions)
    }

    /// How many GPUs there are.
    ///
    /// # Errors
    /// When there is none, or no driver for it, in the library's own words.
    pub fn count(&self) -> Result<usize, String> {
        let mut count = 0;
        // SAFETY: the pointer is to a number.
        match unsafe { (self.get_device_count)(&raw mut count) } {
            SUCCESS => Ok(usize::try_from(count).unwrap_or_default()),
            error => Err(self.told(error)),
        }
    }

    fn told(&self, error: c_int) -> String {
        // SAFETY: the library gives a text that lives as long as it does, for any number.
        let text = unsafe { CStr::from_ptr((self.error_string)(error)) };
        text.to_string_lossy().into_owned()
    }
}

/// The memory of one GPU.
#[derive(Debug)]
pub struct Cuda {
    functions: Arc<Functions>,
    device: c_int,
    /// The first error since it was last asked for.
    failed: AtomicI32,
}

impl Cuda {
    /// The memory of the GPU `device`.
    pub fn new(functions: Arc<Functions>, device: usize) -> Self {
        Self {
            functions,
            device: c_int::try_from(device).unwrap_or(c_int::MAX),
            failed: AtomicI32::new(SUCCESS),
        }
    }

    /// Calls a function of the library on this GPU, which is a thread's own choice.
    fn call(&self, function: impl FnOnce(&Functions) -> c_int) -> c_int {
        // SAFETY: any number is an answer or an error.
        let error = match unsafe { (self.functions.set_device)(self.device) } {
            SUCCESS => function(&self.functions),
            error => error,
        };
        if error != SUCCESS {
            // SAFETY: there is nothing to promise. ONNX Runtime, which asks for the thread's last
            // error too, would take this one for its own.
            unsafe { (self.functions.get_last_error)() };
        }
        error
    }

    /// Keeps an error for [`Memory::settle`].
    fn note(&self, error: c_int) {
        let (order, otherwise) = (Ordering::Relaxed, Ordering::Relaxed);
        let _ = self
            .failed
            .compare_exchange(SUCCESS, error, order, otherwise);
    }

    /// # Safety
    /// As [`Memory::copy`] or [`Memory::write`].
    unsafe fn lines(&self, to: NonNull<u8>, from: NonNull<u8>, lines: Pitches, kind: c_int) {
        let (to, from) = (to.as_ptr().cast(), from.as_ptr().cast());
        // A single line may be longer than the pitch, which then says nothing.
        let (to_pitch, from_pitch) = match lines.lines {
            1 => (lines.bytes, lines.bytes),
            _ => (lines.to, lines.from),
        };
        // SAFETY: every line is in memory, as the caller promises.
        self.note(self.call(|cuda| unsafe {
            (cuda.memcpy_2d)(
                to,
                to_pitch,
                from,
                from_pitch,
                lines.bytes,
                lines.lines,
                kind,
            )
        }));
    }
}

impl Memory for Cuda {
    fn allocate(&self, bytes: usize) -> Option<NonNull<u8>> {
        let mut memory = null_mut();
        // SAFETY: the pointer is to a pointer.
        let error = self.call(|cuda| unsafe { (cuda.malloc)(&raw mut memory, bytes) });
        let memory = NonNull::new(memory).filter(|_| error == SUCCESS)?;
        // SAFETY: so many bytes are there.
        self.note(self.call(|cuda| unsafe { (cuda.memset)(memory.as_ptr(), 0, bytes) }));
        Some(memory.cast())
    }

    unsafe fn release(&self, memory: NonNull<u8>, _: usize) {
        // SAFETY: it was allocated by the same library.
        self.note(self.call(|cuda| unsafe { (cuda.free)(memory.as_ptr().cast()) }));
    }

    unsafe fn copy(&self, to: NonNull<u8>, from: NonNull<u8>, lines: Pitches) {
        // SAFETY: as the caller promises.
        unsafe { self.lines(to, from, lines, DEVICE_TO_DEVICE) }
    }

    unsafe fn write(&self, to: NonNull<u8>, from: NonNull<u8>, lines: Pitches) {
        // SAFETY: as the caller promises. From memory that the system may swap out, the library
        // has taken what it needs when it returns.
        unsafe { self.lines(to, from, lines, HOST_TO_DEVICE) }
    }

    fn free(&self) -> usize {
        let (mut free, mut all) = (0, 0);
        // SAFETY: the pointers are to numbers.
        self.note(self.call(|cuda| unsafe { (cuda.mem_get_info)(&raw mut free, &raw mut all) }));
        free
    }

    /// All of it: nothing else is made with a GPU's memory.
    fn room(&self) -> (usize, usize) {
        (usize::MAX, usize::MAX)
    }

    fn settle(&self) -> Result<(), ModelError> {
        // SAFETY: there is nothing to promise.
        self.note(self.call(|cuda| unsafe { (cuda.synchronize)() }));
        match self.failed.swap(SUCCESS, Ordering::Relaxed) {
            SUCCESS => Ok(()),
            error => Err(ModelError::Fatal(format!(
                "the GPU cuda:{} failed: {}",
                self.device,
                self.functions.told(error)
            ))),
        }
    }

    fn info(&self) -> ort::Result<MemoryInfo<'static>> {
        MemoryInfo::new(
            AllocationDevice::CUDA,
            self.device,
            AllocatorType::Device,
            MemoryType::Default,
        )
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use std::slice;

    use super::*;
    use crate::llm::store::Memory;
    use crate::llm::store::host::Host;

    const DEVICE: c_int = 1;
    const OUT_OF_MEMORY: c_int = 2;
    const ILLEGAL: c_int = 700;

    unsafe extern "C" fn count(count: *mut c_int) -> c_int {
        unsafe { *count = 2 };
        SUCCESS
    }

    unsafe extern "C" fn set_device(device: c_int) -> c_int {
        if device == DEVICE { SUCCESS } else { ILLEGAL }
    }

    unsafe extern "C" fn info(free: *mut usize, all: *mut usize) -> c_int {
        unsafe { (*free, *all) = (3 << 30, 4 << 30) };
        SUCCESS
    }

    /// Memory is taken with its size before it.
    unsafe extern "C" fn malloc(memory: *mut *mut c_void, bytes: usize) -> c_int {
        let Some(found) = bytes.checked_add(64).and_then(|all| Host.allocate(all)) else {
            return OUT_OF_MEMORY;
        };
        unsafe {
            *found.cast::<usize>().as_ptr() = bytes;
            *memory = found.add(64).as_ptr().cast();
        }
        SUCCESS
    }

    unsafe extern "C" fn free(memory: *mut c_void) -> c_int {
        unsafe {
            let start = NonNull::new(memory.cast::<u8>().sub(64)).unwrap();
            let bytes = *start.cast::<usize>().as_ptr();
            Host.release(start, bytes + 64);
        }
        SUCCESS
    }

    unsafe extern "C" fn memset(memory: *mut c_void, value: c_int, bytes: usize) -> c_int {
        unsafe { memory.write_bytes(value as u8, bytes) };
        SUCCESS
    }

    /// As strict as the library: pitches are no less than the width.
    unsafe extern "C" fn memcpy_2d(
        to: *mut c_void,
        to_pitch: usize,
        from: *const c_void,
        from_pitch: usize,
        width: usize,
        height: usize,
        kind: c_int,
    ) -> c_int {
        if to_pitch < width || from_pitch < width || ![1, 3].contains(&kind) {
            return ILLEGAL;
        }
        for line in 0..height {
            unsafe {
                let from = from.cast::<u8>().add(line * from_pitch);
                let to = to.cast::<u8>().add(line * to_pitch);
                let from = slice::from_raw_parts(from, width);
                slice::from_raw_parts_mut(to, width).copy_from_slice(from);
            }
        }
        SUCCESS
    }

    unsafe extern "C" fn synchronize() -> c_int {
        SUCCESS
    }

    unsafe extern "C" fn error_string(error: c_int) -> *const c_char {
        match error {
            ILLEGAL => c"an illegal memory access was encountered".as_ptr(),
            _ => c"unknown".as_ptr(),
        }
    }

    /// A library that pretends.
    pub fn functions() -> Arc<Functions> {
        Arc::new(Functions {
            get_device_count: count,
            set_device,
            mem_get_info: info,
            malloc,
            free,
            memset,
            memcpy_2d,
            synchronize,
            get_last_error: synchronize,
            error_string,
        })
    }

    /// A GPU whose memory is the machine's own.
    pub fn pretended() -> Cuda {
        Cuda::new(functions(), DEVICE as usize)
    }

    /// The same, which the processor computes with.
    #[derive(Debug)]
    pub struct OfProcessor(Cuda);

    impl OfProcessor {
        pub fn new() -> Self {
            Self(pretended())
        }
    }

    impl Memory for OfProcessor {
        fn allocate(&self, bytes: usize) -> Option<NonNull<u8>> {
            self.0.allocate(bytes)
        }

        unsafe fn release(&self, memory: NonNull<u8>, bytes: usize) {
            unsafe { self.0.release(memory, bytes) }
        }

        unsafe fn copy(&self, to: NonNull<u8>, from: NonNull<u8>, lines: Pitches) {
            unsafe { self.0.copy(to, from, lines) }
        }

        unsafe fn write(&self, to: NonNull<u8>, from: NonNull<u8>, lines: Pitches) {
            unsafe { self.0.write(to, from, lines) }
        }

        fn free(&self) -> usize {
            self.0.free()
        }

        fn room(&self) -> (usize, usize) {
            self.0.room()
        }

        fn settle(&self) -> Result<(), ModelError> {
            self.0.settle()
        }

        fn info(&self) -> ort::Result<MemoryInfo<'static>> {
            Host.info()
        }
    }

    #[test]
    fn a_gpu_tells_what_it_has() {
        assert_eq!(functions().count(), Ok(2));
        assert_eq!(pretended().free(), 3 << 30);
    }

    #[test]
    fn a_failure_is_told_once_before_the_next_step() {
        let cuda = pretended();
        cuda.settle().unwrap();
        let memory = cuda.allocate(8).unwrap();
        let lines = Pitches {
            lines: 2,
            bytes: 4,
            to: 2,
            from: 4,
        };
        unsafe {
            cuda.copy(memory, memory, lines);
            cuda.release(memory, 8);
        }
        let error = cuda.settle().unwrap_err().to_string();
        assert!(
            error.contains("cuda:1 failed: an illegal memory"),
            "{error}"
        );
        cuda.settle().unwrap();
    }

    #[test]
    fn a_gpu_that_is_not_there_has_no_memory() {
        let cuda = Cuda::new(functions(), 7);
        assert_eq!(cuda.allocate(8), None);
        assert_eq!(cuda.free(), 0);
        assert!(cuda.settle().is_err());
    }
}
