//! The mailbox of inquiries: what was asked, what has come of it, what is to be asked next.
//!
//! A [`Ticket`] owns the answers to its inquiry. Once it is dropped, the next [`Inquiries::poll_step`] forgets the
//! inquiry.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Weak};

use crate::inquiry::{Answer, Inquiry, InquiryId, MOST, Step};

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Inquiries {
    last: u64,
    steps: VecDeque<(InquiryId, Step)>,
    open: BTreeMap<InquiryId, Letter>,
}

/// One inquiry.
#[derive(Debug)]
struct Letter {
    holder: Weak<InquiryId>,
    answers: VecDeque<Answer>,
    /// Its last answer has come: there is nothing to forget.
    has_ended: bool,
}

/// Owns the answers to one inquiry.
#[derive(Debug)]
pub(crate) struct Ticket(Arc<InquiryId>);

impl Inquiries {
    /// Asks. `None` when too many inquiries are under way.
    pub(crate) fn ask(&mut self, inquiry: Inquiry) -> Option<Ticket> {
        self.forget_dropped();
        if self.open.len() >= MOST {
            return None;
        }
        self.last += 1;
        let id = InquiryId(self.last);
        let ticket = Ticket(Arc::new(id));
        let letter = Letter {
            holder: Arc::downgrade(&ticket.0),
            answers: VecDeque::new(),
            has_ended: false,
        };
        self.open.insert(id, letter);
        self.steps.push_back((id, Step::Ask(inquiry)));
        Some(ticket)
    }

    /// Sends bytes to the other side of an inquiry.
    pub(crate) fn feed(&mut self, ticket: &Ticket, bytes: Vec<u8>) {
        self.steps.push_back((*ticket.0, Step::Feed(bytes)));
    }

    /// The next answer, which is thereby taken.
    pub(crate) fn take(&mut self, ticket: &Ticket) -> Option<Answer> {
        let answer = self.open.get_mut(&ticket.0)?.answers.pop_front()?;
        if matches!(answer, Answer::Bytes(_) | Answer::Message(_)) {
            self.steps.push_back((*ticket.0, Step::More));
        }
        Some(answer)
    }

    /// Keeps an answer; an inquiry that was forgotten, or has ended, takes none.
    pub(crate) fn handle_answer(&mut self, id: InquiryId, answer: Answer) {
        let Some(letter) = self.open.get_mut(&id) else {
            return;
        };
        if letter.has_ended {
            return;
        }
        letter.has_ended = matches!(answer, Answer::End(_));
        letter.answers.push_back(answer);
    }

    /// The next thing to ask.
    pub(crate) fn poll_step(&mut self) -> Option<(InquiryId, Step)> {
        self.forget_dropped();
        self.steps.pop_front()
    }

    fn forget_dropped(&mut self) {
        let steps = &mut self.steps;
        self.open.retain(|id, letter| {
            if letter.holder.strong_count() > 0 {
                return true;
            }
            let was_asked = !steps
                .iter()
                .any(|(of, step)| of == id && matches!(step, Step::Ask(_)));
            steps.retain(|(of, _)| of != id);
            if was_asked && !letter.has_ended {
                steps.push_back((*id, Step::Forget));
            }
            false
        });
    }
}
