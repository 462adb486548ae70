//! A preloaded library that makes the n-th sync of a process fail, or tears its n-th write and
//! kills the process.

use std::ffi::{CStr, c_char, c_int, c_void};
use std::sync::atomic::{AtomicU64, Ordering};

unsafe extern "C" {
    fn dlsym(handle: *mut c_void, name: *const c_char) -> *mut c_void;
    fn __errno_location() -> *mut c_int;
    fn getpid() -> c_int;
    fn kill(process: c_int, signal: c_int) -> c_int;
}

const EIO: c_int = 5;
const SIGKILL: c_int = 9;

static SYNCS: AtomicU64 = AtomicU64::new(0);
static WRITES: AtomicU64 = AtomicU64::new(0);

type Sync = unsafe extern "C" fn(c_int) -> c_int;
type Write = unsafe extern "C" fn(c_int, *const c_void, usize, i64) -> isize;

/// Returns true for the call whose number is in the environment variable.
fn is_chosen(counter: &AtomicU64, variable: &str) -> bool {
    let number = counter.fetch_add(1, Ordering::SeqCst) + 1;
    std::env::var(variable).is_ok_and(|chosen| chosen == number.to_string())
}

fn next(name: &CStr) -> *mut c_void {
    let next_library = -1_isize as *mut c_void;
    unsafe { dlsym(next_library, name.as_ptr()) }
}

fn sync(name: &CStr, file: c_int) -> c_int {
    if is_chosen(&SYNCS, "QUORATE_FAIL_SYNC") {
        unsafe { *__errno_location() = EIO };
        return -1;
    }
    let real: Sync = unsafe { std::mem::transmute(next(name)) };
    unsafe { real(file) }
}

#[unsafe(no_mangle)]
pub extern "C" fn fsync(file: c_int) -> c_int {
    sync(c"fsync", file)
}

#[unsafe(no_mangle)]
pub extern "C" fn fdatasync(file: c_int) -> c_int {
    sync(c"fdatasync", file)
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn pwrite64(
    file: c_int,
    bytes: *const c_void,
    count: usize,
    offset: i64,
) -> isize {
    let real: Write = unsafe { std::mem::transmute(next(c"pwrite64")) };
    if is_chosen(&WRITES, "QUORATE_TEAR_WRITE") {
        // A torn write consists of whole sectors.
        unsafe { real(file, bytes, count / 2 / 512 * 512, offset) };
        unsafe { kill(getpid(), SIGKILL) };
    }
    unsafe { real(file, bytes, count, offset) }
}
