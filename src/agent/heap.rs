//! Free memory of the heap goes back to the system. The one place with `unsafe`: the C library has no other way to be asked.
//!
//! glibc keeps what is freed unless it lies at the very end of the heap, so that what an outage took would stay resident.
//! musl returns it by itself.

/// Takes milliseconds; to be called when something large was freed, and seldom.
#[cfg(target_env = "gnu")]
#[allow(unsafe_code)]
pub(super) fn trim() {
    // SAFETY: takes a number, touches free memory only, and is safe to be called from any thread.
    unsafe { libc::malloc_trim(0) };
}

#[cfg(not(target_env = "gnu"))]
pub(super) fn trim() {}
