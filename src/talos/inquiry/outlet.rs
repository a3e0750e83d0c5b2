//! The way out for what an inquiry brings: pieces of a bounded size, of which only so many are under way.

use std::fmt;
use std::sync::Arc;

use tokio::sync::Semaphore;

use super::trouble;
use crate::inquiry::{Answer, MOST_IN_PIECE, Trouble};

/// Bytes that one inquiry brings, at most, unless it has a bound of its own.
pub(super) const MOST_BYTES: usize = 16 << 20;

/// See the module.
pub(super) struct Outlet {
    answer: Box<dyn Fn(Answer) + Send + Sync>,
    room: Arc<Semaphore>,
    /// Bytes that may still come.
    left: usize,
}

impl fmt::Debug for Outlet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Outlet")
            .field("left", &self.left)
            .finish_non_exhaustive()
    }
}

impl Outlet {
    /// With as much room as the semaphore has permits.
    pub(super) fn new(
        answer: impl Fn(Answer) + Send + Sync + 'static,
        room: Arc<Semaphore>,
    ) -> Self {
        Self {
            answer: Box::new(answer),
            room,
            left: MOST_BYTES,
        }
    }

    /// So many bytes, and no more.
    pub(super) fn bound(&mut self, most: u64) {
        self.left = usize::try_from(most).unwrap_or(usize::MAX);
    }

    /// Sends what needs no room.
    pub(super) fn answer(&mut self, answer: Answer) {
        (self.answer)(answer);
    }

    /// Sends a text.
    pub(super) async fn text(&mut self, text: &str) -> Result<(), Trouble> {
        for piece in text.as_bytes().chunks(MOST_IN_PIECE) {
            self.room().await;
            self.piece(piece.to_vec())?;
        }
        Ok(())
    }

    /// Sends a message of a call.
    pub(super) async fn message(&mut self, message: Vec<u8>) -> Result<(), Trouble> {
        self.room().await;
        self.left = self
            .left
            .checked_sub(message.len())
            .ok_or_else(trouble::too_long)?;
        self.answer(Answer::Message(message));
        Ok(())
    }

    /// Sends what a source of bytes brings until it ends. What comes while there is no room is sent together.
    pub(super) async fn pump(&mut self, source: &mut impl Source) -> Result<(), Trouble> {
        let mut held = Vec::new();
        let mut end = None;
        // What came before the end counts, also where that is trouble.
        while end.is_none() || !held.is_empty() {
            tokio::select! {
                biased;
                () = self.room(), if !held.is_empty() => {
                    let rest = held.split_off(held.len().min(MOST_IN_PIECE));
                    self.piece(std::mem::replace(&mut held, rest))?;
                }
                next = source.next(), if end.is_none() && held.len() < MOST_IN_PIECE => match next {
                    Ok(Some(bytes)) if held.is_empty() => held = bytes,
                    Ok(Some(bytes)) => held.extend(bytes),
                    Ok(None) => end = Some(Ok(())),
                    Err(trouble) => end = Some(Err(trouble)),
                },
            }
        }
        end.unwrap_or(Ok(()))
    }

    /// Waits for room for one piece, and takes it.
    async fn room(&mut self) {
        // It is never closed.
        if let Ok(permit) = self.room.acquire().await {
            permit.forget();
        }
    }

    /// Sends a piece for which there is room, or what of it is within the bound.
    fn piece(&mut self, mut piece: Vec<u8>) -> Result<(), Trouble> {
        let is_too_long = piece.len() > self.left;
        piece.truncate(self.left);
        self.left -= piece.len();
        if !piece.is_empty() {
            self.answer(Answer::Bytes(piece));
        }
        if is_too_long {
            return Err(trouble::too_long());
        }
        Ok(())
    }
}

/// Where bytes come from.
pub(super) trait Source {
    /// The next ones; `None` at the end. Cancel-safe.
    fn next(&mut self) -> impl Future<Output = Result<Option<Vec<u8>>, Trouble>> + Send;
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;
    use std::sync::Mutex;

    use super::*;
    use crate::inquiry::WINDOW;

    /// Brings these, then ends or fails.
    struct Scripted(VecDeque<Vec<u8>>, Option<Trouble>);

    impl Source for Scripted {
        async fn next(&mut self) -> Result<Option<Vec<u8>>, Trouble> {
            match (self.0.pop_front(), &self.1) {
                (Some(bytes), _) => Ok(Some(bytes)),
                (None, Some(trouble)) => Err(trouble.clone()),
                (None, None) => Ok(None),
            }
        }
    }

    type Sent = Arc<Mutex<Vec<usize>>>;

    /// The lengths of what was sent.
    fn outlet() -> (Outlet, Arc<Semaphore>, Sent) {
        let (room, sent) = (Arc::new(Semaphore::new(WINDOW)), Sent::default());
        let into = Arc::clone(&sent);
        let answer = move |answer| match answer {
            Answer::Bytes(bytes) => into.lock().unwrap().push(bytes.len()),
            other => panic!("{other:?}"),
        };
        (Outlet::new(answer, Arc::clone(&room)), room, sent)
    }

    fn of(lengths: &[usize]) -> Scripted {
        Scripted(
            lengths.iter().map(|&length| vec![7; length]).collect(),
            None,
        )
    }

    #[tokio::test(start_paused = true)]
    async fn no_more_pieces_are_under_way_than_the_window_has() {
        let (mut outlet, room, sent) = outlet();
        let task = tokio::spawn(async move { outlet.pump(&mut of(&[1; 20])).await });
        tokio::task::yield_now().await;
        assert_eq!(*sent.lock().unwrap(), [1; WINDOW]);
        assert!(!task.is_finished());
        room.add_permits(1);
        assert_eq!(task.await.unwrap(), Ok(()));
        let sent = sent.lock().unwrap();
        assert_eq!(sent[WINDOW], 20 - WINDOW, "what had to wait goes together");
    }

    #[tokio::test(start_paused = true)]
    async fn a_long_message_comes_in_pieces_and_none_is_too_long() {
        let (mut outlet, room, sent) = outlet();
        room.add_permits(100);
        outlet
            .pump(&mut of(&[MOST_IN_PIECE * 3 + 5]))
            .await
            .unwrap();
        outlet.text(&"x".repeat(MOST_IN_PIECE + 1)).await.unwrap();
        let most = MOST_IN_PIECE;
        assert_eq!(*sent.lock().unwrap(), [most, most, most, 5, most, 1]);
    }

    #[tokio::test(start_paused = true)]
    async fn what_came_before_the_trouble_is_sent() {
        let (mut outlet, room, sent) = outlet();
        room.forget_permits(WINDOW);
        let trouble = trouble::too_many();
        let mut source = of(&[3, 4]);
        source.1 = Some(trouble.clone());
        let task = tokio::spawn(async move { outlet.pump(&mut source).await });
        tokio::task::yield_now().await;
        room.add_permits(WINDOW);
        assert_eq!(task.await.unwrap(), Err(trouble));
        assert_eq!(sent.lock().unwrap().iter().sum::<usize>(), 7);
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_ends_at_the_bound_to_the_byte() {
        for (extra, result) in [(0, Ok(())), (1, Err(trouble::too_long()))] {
            let (mut outlet, room, sent) = outlet();
            room.add_permits(10_000);
            let mut source = of(&[MOST_BYTES / 2, MOST_BYTES / 2 + extra]);
            assert_eq!(outlet.pump(&mut source).await, result);
            assert_eq!(sent.lock().unwrap().iter().sum::<usize>(), MOST_BYTES);
        }
        let (mut outlet, room, sent) = outlet();
        room.add_permits(10_000);
        outlet.bound(u64::MAX);
        outlet.pump(&mut of(&[MOST_BYTES + 1])).await.unwrap();
        assert_eq!(sent.lock().unwrap().iter().sum::<usize>(), MOST_BYTES + 1);
    }
}
