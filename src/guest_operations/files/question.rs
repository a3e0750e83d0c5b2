//! One inquiry and its answer: a value, or bytes up to a bound.

use std::task::Poll;

use crate::guest_operations::Failure;
use crate::guest_operations::inquiries::{Inquiries, Ticket};
use crate::inquiry::{Answer, Inquiry};

/// An inquiry with one typed answer.
#[derive(Debug)]
pub(super) struct Question {
    ticket: Ticket,
    answer: Option<Answer>,
}

impl Question {
    /// Asks.
    ///
    /// # Errors
    /// [`Failure::Busy`] when too much is asked already.
    pub(super) fn ask(inquiry: Inquiry, inquiries: &mut Inquiries) -> Result<Self, Failure> {
        Ok(Self {
            ticket: inquiries.ask(inquiry).ok_or(Failure::Busy)?,
            answer: None,
        })
    }

    /// The answer, once all of it is there.
    pub(super) fn poll(&mut self, inquiries: &mut Inquiries) -> Poll<Result<Answer, Failure>> {
        while let Some(answer) = inquiries.take(&self.ticket) {
            match answer {
                Answer::End(Ok(())) => {
                    return Poll::Ready(self.answer.take().ok_or(Failure::Failed));
                }
                Answer::End(Err(trouble)) => return Poll::Ready(Err((&trouble).into())),
                answer => self.answer = Some(answer),
            }
        }
        Poll::Pending
    }
}

/// An inquiry whose answer is bytes.
#[derive(Debug)]
pub(super) struct Bytes(Ticket);

impl Bytes {
    /// Asks.
    ///
    /// # Errors
    /// [`Failure::Busy`] when too much is asked already.
    pub(super) fn ask(inquiry: Inquiry, inquiries: &mut Inquiries) -> Result<Self, Failure> {
        Ok(Self(inquiries.ask(inquiry).ok_or(Failure::Busy)?))
    }

    /// Adds what has come to `into`, which never holds more than `most`; ready when all has come.
    pub(super) fn gather(
        &self,
        inquiries: &mut Inquiries,
        into: &mut Vec<u8>,
        most: usize,
    ) -> Poll<Result<(), Failure>> {
        while let Some(answer) = inquiries.take(&self.0) {
            match answer {
                Answer::Bytes(bytes) if into.len() + bytes.len() > most => {
                    return Poll::Ready(Err(Failure::NoRoom));
                }
                Answer::Bytes(bytes) => into.extend_from_slice(&bytes),
                Answer::End(result) => {
                    return Poll::Ready(result.map_err(|trouble| (&trouble).into()));
                }
                _ => {}
            }
        }
        Poll::Pending
    }

    /// The next piece of it; nothing is the end.
    pub(super) fn next(&self, inquiries: &mut Inquiries) -> Poll<Result<Option<Vec<u8>>, Failure>> {
        loop {
            match inquiries.take(&self.0) {
                Some(Answer::Bytes(bytes)) => return Poll::Ready(Ok(Some(bytes))),
                Some(Answer::End(result)) => {
                    return Poll::Ready(result.map(|()| None).map_err(|trouble| (&trouble).into()));
                }
                Some(_) => {}
                None => return Poll::Pending,
            }
        }
    }
}
