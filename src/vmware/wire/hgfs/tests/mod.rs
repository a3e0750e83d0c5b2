//! Requests and replies, against bytes of others and against a client of our own.

mod conversation;
mod hostile;
mod vectors;
