//! The locks and atomics that everything in [`concurrent`](super) is made of: the standard library's,
//! or, in this crate's unit tests, loom's, which show a test every order in which threads can come.
//!
//! Contract: nothing else in `concurrent` names `std::sync` or `loom`. Tests in other crates and in
//! `tests/` see the standard library's.
//!
//! Not checked: a lock that a thread held when it panicked is taken as it was left. What can panic
//! while one is held is the caller's [`Host`](crate::Host); the frame it was told about may then be
//! missing from the account.

use std::sync::{PoisonError, TryLockError};

#[cfg(test)]
pub(super) use loom::sync::{
    Mutex, MutexGuard, RwLock, RwLockReadGuard, RwLockWriteGuard,
    atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering},
};
#[cfg(not(test))]
pub(super) use std::sync::{
    Mutex, MutexGuard, RwLock, RwLockReadGuard, RwLockWriteGuard,
    atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering},
};

#[inline]
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// `None` if somebody else has it.
pub(super) fn try_lock<T>(mutex: &Mutex<T>) -> Option<MutexGuard<'_, T>> {
    match mutex.try_lock() {
        Ok(guard) => Some(guard),
        Err(TryLockError::Poisoned(left)) => Some(left.into_inner()),
        Err(TryLockError::WouldBlock) => None,
    }
}

#[inline]
pub(super) fn share<T>(lock: &RwLock<T>) -> RwLockReadGuard<'_, T> {
    lock.read().unwrap_or_else(PoisonError::into_inner)
}

pub(super) fn own<T>(lock: &RwLock<T>) -> RwLockWriteGuard<'_, T> {
    lock.write().unwrap_or_else(PoisonError::into_inner)
}

/// A value on a cache line of its own (and its neighbour's, which processors fetch with it), so that
/// CPUs which write to different ones do not wait for each other.
#[derive(Debug, Default)]
#[repr(align(128))]
pub(super) struct Apart<T>(pub T);
