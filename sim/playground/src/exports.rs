//! The functions that the page calls. A text is handed over as bytes in this module's memory: the
//! page asks for room, writes the request there, calls `answer`, and reads the reply.

#![allow(
    unsafe_code,
    reason = "the name of an exported function counts as unsafe; nothing else is"
)]

use std::cell::RefCell;
use std::panic;

use crate::answers;
use crate::reply::Reply;

thread_local! {
    static REQUEST: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
    static REPLY: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// Makes room for a request of this many bytes, and returns the address at which it begins.
#[unsafe(no_mangle)]
pub(crate) extern "C" fn request_room(bytes: usize) -> *mut u8 {
    let mut room = vec![0; bytes];
    let begin = room.as_mut_ptr();
    REQUEST.set(room);
    begin
}

/// Answers the request that was written. A panic ends the call, and its message is the reply.
#[unsafe(no_mangle)]
pub(crate) extern "C" fn answer() {
    panic::set_hook(Box::new(|panic| {
        let message = panic.payload_as_str().unwrap_or("a panic without a message");
        let place = panic.location().map_or(String::new(), |at| format!(" at {at}"));
        let reply = Reply::Panic(format!("{message}{place}"));
        REPLY.set(serde_json::to_vec(&reply).unwrap_or_default());
    }));
    let request = REQUEST.take();
    let reply = answers::answer(&String::from_utf8_lossy(&request));
    REPLY.set(reply.into_bytes());
}

/// Returns the address at which the reply begins.
#[unsafe(no_mangle)]
pub(crate) extern "C" fn reply_begin() -> *const u8 {
    REPLY.with_borrow(|reply| reply.as_ptr())
}

/// Returns the number of bytes of the reply.
#[unsafe(no_mangle)]
pub(crate) extern "C" fn reply_bytes() -> usize {
    REPLY.with_borrow(Vec::len)
}
