//! Translations that are asked for, and who waits for them.
//!
//! Contract: whoever waits is woken by a translation of what it asked for, by the front-end's word that there
//! is none, by [`Asking::without`] and [`Asking::ask`], and when its patience ends; the first of these counts.
//! Several may ask at once; answers come in the order of the questions, and one that nobody waits for any
//! more is nobody's.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::ThreadId;
use std::time::{Duration, Instant};

use vm_memory::Permissions;
use vm_memory::iommu::IovaRange;

/// How long a front-end may take that answers: it only has to be long enough for a machine that stalls.
pub const PATIENCE: Duration = Duration::from_secs(10);

/// How long one may take that does not: of what is not mapped it says nothing.
pub const PATIENCE_UNANSWERED: Duration = Duration::from_millis(500);

/// Whom a missing translation is asked of.
pub trait Misses: Send + Sync {
    /// The device wants to read or write there.
    fn miss(&self, miss: Miss) -> Asked;

    /// Nobody asks here any more.
    fn end(&self);
}

/// A translation that is missing.
#[derive(Clone, Copy, Debug)]
pub struct Miss {
    /// Which question this is: an answer refers to it.
    pub number: u64,
    /// First byte.
    pub iova: u64,
    /// Bytes.
    pub size: u64,
    /// What for.
    pub access: Permissions,
}

/// What becomes of a question.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asked {
    /// It is answered ([`super::iotlb::Translations::answer`]), after the translation was sent if there is one.
    Answered,
    /// The translation comes, or nothing.
    Unanswered,
    /// It could not be asked.
    Not,
}

/// What an access needs.
#[derive(Clone, Debug)]
pub(super) struct Wanted {
    pub range: IovaRange,
    pub access: Permissions,
    /// There is a translation, which does not allow it.
    pub mapped: bool,
}

/// What came of waiting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// A translation of some of it. `answered`: the front-end has said that this is the one.
    Came { answered: bool },
    /// The reason why none comes.
    None(&'static str),
}

/// See the module's contract.
pub(super) struct Asking {
    /// Held while a question is sent: numbers go out in order.
    turn: Mutex<()>,
    state: Mutex<State>,
    news: Condvar,
}

struct State {
    asks: Option<Arc<dyn Misses>>,
    next: u64,
    waiting: Vec<Waiter>,
    /// Who must not wait.
    without: Vec<ThreadId>,
}

struct Waiter {
    number: u64,
    thread: ThreadId,
    range: IovaRange,
    /// There is a translation, which does not allow the access: another one may come of another question.
    mapped: bool,
    /// Something of the range was translated since.
    came: bool,
    /// The front-end's word on whether there is a translation.
    answer: Option<bool>,
    gives_up: bool,
}

impl Asking {
    pub(super) fn new() -> Self {
        let state = State { asks: None, next: 0, waiting: Vec::new(), without: Vec::new() };
        Self { turn: Mutex::new(()), state: Mutex::new(state), news: Condvar::new() }
    }

    /// Questions go there from now on; who waits for answers from elsewhere gives up.
    pub(super) fn ask(&self, asks: Option<Arc<dyn Misses>>) {
        let mut state = self.state();
        let before = std::mem::replace(&mut state.asks, asks);
        state.waiting.iter_mut().for_each(|waiter| waiter.gives_up = true);
        drop(state);
        self.news.notify_all();
        if let Some(before) = before {
            before.end();
        }
    }

    /// So many bytes from `iova` on have a translation now.
    pub(super) fn came(&self, iova: u64, size: u64) {
        let mut state = self.state();
        for waiter in &mut state.waiting {
            let IovaRange { base, length } = waiter.range;
            let touches =
                iova < base.0.saturating_add(length as u64) && base.0 - iova.min(base.0) < size;
            waiter.came |= touches;
        }
        drop(state);
        self.news.notify_all();
    }

    /// The front-end's answer to a question.
    pub(super) fn answer(&self, number: u64, there_is: bool) {
        let mut state = self.state();
        let asked = state.waiting.iter_mut().find(|waiter| waiter.number == number);
        asked.map(|waiter| waiter.answer.get_or_insert(there_is));
        drop(state);
        self.news.notify_all();
    }

    /// See [`super::iotlb::Translations::without`].
    pub(super) fn without<T>(&self, thread: ThreadId, work: impl FnOnce() -> T) -> T {
        self.state().without.push(thread);
        self.news.notify_all();
        let done = work();
        let mut state = self.state();
        if let Some(at) = state.without.iter().position(|other| *other == thread) {
            state.without.swap_remove(at);
        }
        done
    }

    /// Asks for the translation of a range, and waits for what comes of it; whoever asked first at `since`
    /// has waited that long.
    pub(super) fn wait(&self, wanted: Wanted, since: Instant) -> Outcome {
        let (number, asked) = match self.begin(wanted) {
            Ok(begun) => begun,
            Err(why) => return Outcome::None(why),
        };
        let patience = match asked {
            Asked::Answered => PATIENCE,
            Asked::Unanswered => PATIENCE_UNANSWERED,
            Asked::Not => Duration::ZERO,
        };
        let left = patience.saturating_sub(since.elapsed());
        let (mut state, _) = self
            .news
            .wait_timeout_while(self.state(), left, |state| state.outcome(number, asked).is_none())
            .unwrap_or_else(PoisonError::into_inner);
        let outcome = state.outcome(number, asked);
        state.waiting.retain(|waiter| waiter.number != number);
        outcome.unwrap_or(Outcome::None(match asked {
            Asked::Answered => "the front-end does not answer",
            Asked::Unanswered => "the front-end gives no translation",
            Asked::Not => "the front-end cannot be asked",
        }))
    }

    fn begin(&self, wanted: Wanted) -> Result<(u64, Asked), &'static str> {
        let Wanted { range, access, mapped } = wanted;
        let thread = std::thread::current().id();
        let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        let mut state = self.state();
        let asks = state.asks.clone().ok_or("there is no front-end to ask")?;
        if state.without.contains(&thread) {
            return Err(STOPS);
        }
        let number = state.next;
        state.next += 1;
        let miss = Miss { number, iova: range.base.0, size: range.length as u64, access };
        let (came, answer, gives_up) = (false, None, false);
        state.waiting.push(Waiter { number, thread, range, mapped, came, answer, gives_up });
        drop(state);
        Ok((number, asks.miss(miss)))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

const STOPS: &str = "the vring stops";

impl State {
    /// What has come of a question, if anything has.
    fn outcome(&self, number: u64, asked: Asked) -> Option<Outcome> {
        let waiter = self.waiting.iter().find(|waiter| waiter.number == number)?;
        let answered = waiter.answer == Some(true);
        // What came may have been for somebody else, who asked for less.
        let enough = !waiter.mapped || asked == Asked::Unanswered || waiter.answer.is_some();
        match waiter {
            Waiter { came: true, .. } if enough => Some(Outcome::Came { answered }),
            Waiter { answer: Some(false), .. } => {
                Some(Outcome::None("the guest's IOMMU does not map it"))
            }
            Waiter { gives_up: true, .. } => Some(Outcome::None("the front-end has gone")),
            Waiter { thread, .. } if self.without.contains(thread) => Some(Outcome::None(STOPS)),
            _ => None,
        }
    }
}
