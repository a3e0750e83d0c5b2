//! Entries for fuzzing, see [`crate::fuzz`].
