//! Whether Talos answers, when it is asked for nothing else.

/// What came of asking Talos for a sign of life.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Life {
    /// It has answered.
    Answers,
    /// It has answered before, and did not this time.
    Silent,
    /// That it does not answer says nothing of the machine; why, in one phrase: it has never answered this way, a
    /// certificate has expired, another machine answers.
    Unclear(String),
}
