//! The connections of one worker: what each is doing, what of it may be read, and who leaves where there are too many.
//!
//! A client may keep a connection for its next request, and enough of them fill every place there is: whoever comes then
//! would wait until the first of them has been idle for as long as it may. So, when the last place is taken, those that
//! are idle longest leave. That is no fault of theirs, and none to them: a connection that is kept may end at any time
//! (RFC 9112 §9.5). When the server ends, all leave that have nothing to do.
//!
//! The price is two steps in a tree of idle connections for each request.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;
use std::task::{Context, Waker};

use super::pipeline::Gate;

/// This part of all places is free again when somebody has left, and one place at least.
const ROOM: usize = 16;

/// What a connection is doing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Stage {
    /// Nothing, until the next head begins.
    #[default]
    Idle,
    /// A head is arriving.
    Head,
    /// A request has come as far as the envelope, and hasn't got its answer.
    Request,
    /// The last answer is given, and the rest of a body still comes that nobody wants.
    Closing,
}

#[derive(Debug, Default)]
struct Place {
    stage: Cell<Stage>,
    /// Under which it stands among the idle ones; 0 where it doesn't.
    turn: Cell<u64>,
    is_to_leave: Cell<bool>,
    gate: Cell<Gate>,
    /// Whether the request is the last one for its client.
    is_last: Cell<bool>,
    /// Whether something has come that the gate has kept.
    is_kept_waiting: Cell<bool>,
    /// Wakes whoever waits for the next head.
    waker: RefCell<Option<Waker>>,
}

impl Place {
    fn wake(&self) {
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }
}

/// Every connection of one worker.
#[derive(Debug)]
pub struct Crowd {
    most: usize,
    open: Cell<usize>,
    leaving: Cell<usize>,
    turns: Cell<u64>,
    /// Whether nobody's next request is waited for any more.
    is_over: Cell<bool>,
    /// Those that are idle longest come first.
    idle: RefCell<BTreeMap<u64, Rc<Place>>>,
}

impl Crowd {
    /// Nobody yet, and so many at most.
    #[must_use]
    pub fn new(most: usize) -> Rc<Self> {
        Rc::new(Self {
            most,
            open: Cell::new(0),
            leaving: Cell::new(0),
            turns: Cell::new(0),
            is_over: Cell::new(false),
            idle: RefCell::default(),
        })
    }

    /// One more.
    #[must_use]
    pub fn join(self: &Rc<Self>) -> Activity {
        self.open.set(self.open.get() + 1);
        // Before the new one is among the idle ones: it has hardly had the time to say anything.
        self.make_room();
        let activity = Activity {
            place: Rc::default(),
            crowd: Some(Rc::clone(self)),
        };
        activity.enter(Stage::Idle);
        activity
    }

    /// The server is ending: whoever has nothing to do leaves, now or as soon as that is so.
    pub fn end(&self) {
        self.is_over.set(true);
        for place in self.idle.borrow().values() {
            place.wake();
        }
    }

    fn staying(&self) -> usize {
        self.open.get().saturating_sub(self.leaving.get())
    }

    fn make_room(&self) {
        if self.staying() < self.most {
            return;
        }
        let enough = self.most.saturating_sub((self.most / ROOM).max(1));
        while self.staying() > enough {
            let Some((_, place)) = self.idle.borrow_mut().pop_first() else {
                return;
            };
            place.turn.set(0);
            place.is_to_leave.set(true);
            self.leaving.set(self.leaving.get() + 1);
            place.wake();
        }
    }
}

/// What a connection is doing, told by the two who know: the wire and the envelope.
#[derive(Clone, Debug, Default)]
pub struct Activity {
    place: Rc<Place>,
    /// None of a request that came over no connection of ours.
    crowd: Option<Rc<Crowd>>,
}

impl Activity {
    /// What it is doing.
    #[must_use]
    pub fn stage(&self) -> Stage {
        self.place.stage.get()
    }

    /// A head begins to arrive.
    pub fn begin_head(&self) {
        self.enter(Stage::Head);
    }

    /// A request has come as far as the envelope; what is behind its head passes through this gate. Where everything
    /// passes already, it isn't known any more what that is.
    pub fn begin_request(&self, behind: Gate) {
        self.enter(Stage::Request);
        if self.gate() == Gate::Shut {
            self.set_gate(behind);
        }
    }

    /// Whether the client has asked to close behind the request that has come: the framework does, whatever the answer
    /// says.
    pub fn set_last(&self, is_last: bool) {
        self.place.is_last.set(is_last);
    }

    /// It has its answer. What comes now is the next head; or, where the connection is to be closed, the rest of a
    /// body that nobody wants, and nothing behind that.
    ///
    /// Such a rest is waited for with a limit, which ends the connection even if the answer isn't written yet. Without a
    /// rest there is none: the framework closes once all is written, and a long answer takes its time.
    pub fn end_request(&self, is_closing: bool) {
        let gate = self.gate();
        let is_last = self.place.is_last.get();
        let has_rest = match gate {
            Gate::Shut => false,
            Gate::Chunks { .. } => is_closing || is_last,
            _ => is_closing,
        };
        self.enter(if has_rest { Stage::Closing } else { Stage::Idle });
        self.set_gate(gate.after_answer(is_closing || is_last));
        if let Some(crowd) = &self.crowd {
            crowd.make_room();
            if crowd.is_over.get() || self.place.is_to_leave.get() {
                // Nobody else would: it isn't among the idle that were told, or had something to do when it was.
                self.place.wake();
            }
        }
    }

    /// Whether this one, which has nothing to do, is to end: somebody else needs its place, or the server is ending. Asked
    /// by whoever would wait for the next head, and who is woken when that changes.
    pub fn is_to_leave(&self, cx: &mut Context<'_>) -> bool {
        if self.stage() != Stage::Idle {
            return false;
        }
        if self.place.is_to_leave.get() || self.crowd.as_ref().is_some_and(|crowd| crowd.is_over.get()) {
            return true;
        }
        self.wait(cx);
        false
    }

    /// What of the bytes that have come may pass now.
    #[must_use]
    pub fn gate(&self) -> Gate {
        self.place.gate.get()
    }

    /// Changes what may pass, and wakes whoever was kept from reading.
    pub fn set_gate(&self, gate: Gate) {
        self.place.gate.set(gate);
        if gate != Gate::Shut
            && self.place.is_kept_waiting.take()
            && let Some(waker) = &*self.place.waker.borrow()
        {
            waker.wake_by_ref();
        }
    }

    /// Nothing may pass now: who reads is woken when that changes, if something has come by then.
    pub fn wait_at_gate(&self, cx: &mut Context<'_>, has_come: bool) {
        self.place.is_kept_waiting.set(has_come);
        self.wait(cx);
    }

    fn wait(&self, cx: &mut Context<'_>) {
        let mut waker = self.place.waker.borrow_mut();
        if !waker.as_ref().is_some_and(|known| known.will_wake(cx.waker())) {
            *waker = Some(cx.waker().clone());
        }
    }

    /// It has ended.
    pub fn leave(&self) {
        self.stop_being_idle();
        if let Some(crowd) = &self.crowd {
            crowd.open.set(crowd.open.get().saturating_sub(1));
            if self.place.is_to_leave.get() {
                crowd.leaving.set(crowd.leaving.get().saturating_sub(1));
            }
        }
    }

    fn enter(&self, stage: Stage) {
        self.stop_being_idle();
        self.place.stage.set(stage);
        // Who is to leave already counts for nobody's room any more.
        if stage == Stage::Idle
            && !self.place.is_to_leave.get()
            && let Some(crowd) = &self.crowd
        {
            let turn = crowd.turns.get() + 1;
            crowd.turns.set(turn);
            self.place.turn.set(turn);
            crowd.idle.borrow_mut().insert(turn, Rc::clone(&self.place));
        }
    }

    fn stop_being_idle(&self) {
        if let Some(crowd) = &self.crowd
            && self.place.turn.get() != 0
        {
            crowd.idle.borrow_mut().remove(&self.place.turn.replace(0));
        }
    }
}

#[cfg(test)]
mod tests {
    use actix_web::http::Method;
    use actix_web::http::header::{HeaderMap, HeaderValue, TRANSFER_ENCODING};

    use super::*;

    fn leaves(activity: &Activity) -> bool {
        activity.is_to_leave(&mut Context::from_waker(Waker::noop()))
    }

    #[test]
    fn those_that_are_idle_longest_leave_when_the_last_place_is_taken() {
        let crowd = Crowd::new(4);
        let [first, second, third] = [(); 3].map(|()| crowd.join());
        first.begin_head();
        first.begin_request(Gate::Shut);
        first.end_request(false);
        assert!([&first, &second, &third].iter().all(|one| !leaves(one)));
        let fourth = crowd.join();
        assert!(leaves(&second));
        assert!([&first, &third, &fourth].iter().all(|one| !leaves(one)));
        second.leave();
        let fifth = crowd.join();
        assert!(leaves(&third) && !leaves(&first) && !leaves(&fifth));
    }

    #[test]
    fn behind_an_answer_that_closes_only_the_rest_of_a_body_is_waited_for() {
        let chunks = || {
            let mut headers = HeaderMap::new();
            headers.insert(TRANSFER_ENCODING, HeaderValue::from_static("chunked"));
            Gate::behind(&Method::POST, &headers)
        };
        // What is left of the request, who closes, and how it goes on.
        for (behind, is_closing, is_last, stage, passes) in [
            (Gate::Shut, false, false, Stage::Idle, 3),
            (Gate::Shut, true, false, Stage::Idle, 0),
            (Gate::Shut, false, true, Stage::Idle, 0),
            (chunks(), false, false, Stage::Idle, 3),
            (chunks(), true, false, Stage::Closing, 0),
            (chunks(), false, true, Stage::Closing, 0),
            (Gate::Body(5), false, true, Stage::Idle, 0),
            (Gate::Body(5), true, false, Stage::Closing, 0),
        ] {
            let activity = Crowd::new(4).join();
            activity.begin_head();
            activity.set_gate(Gate::Shut);
            activity.set_last(is_last);
            activity.begin_request(behind);
            activity.end_request(is_closing);
            let what = format!("{behind:?} {is_closing} {is_last}");
            assert_eq!(activity.stage(), stage, "{what}");
            let mut gate = activity.gate();
            match behind {
                Gate::Body(_) => assert_eq!(gate.admit(b"abcde"), 5, "{what}"),
                Gate::Chunks { .. } => assert_eq!(gate.admit(b"0\r\n\r\n"), 5, "{what}"),
                _ => {}
            }
            assert_eq!(gate.admit(b"GET"), passes, "{what}");
        }
    }

    #[test]
    fn who_has_something_to_do_stays_and_the_first_to_be_idle_leaves() {
        let crowd = Crowd::new(2);
        let both = [(); 2].map(|()| {
            let activity = crowd.join();
            activity.begin_request(Gate::Shut);
            activity
        });
        let third = crowd.join();
        third.begin_head();
        assert!(both.iter().chain([&third]).all(|one| !leaves(one)));
        both[1].end_request(false);
        assert!(leaves(&both[1]) && !leaves(&both[0]) && !leaves(&third));
    }
    #[test]
    fn at_the_end_the_idle_leave_at_once_and_the_others_when_they_are() {
        let crowd = Crowd::new(8);
        let [idle, busy] = [(); 2].map(|()| crowd.join());
        busy.begin_request(Gate::Shut);
        assert!(!leaves(&idle));
        crowd.end();
        assert!(leaves(&idle) && !leaves(&busy));
        busy.end_request(false);
        assert!(leaves(&busy));
        // Taken just before, and handed on just after.
        assert!(leaves(&crowd.join()));
    }
}
