//! Cuts the fields of a body off its front; no length is believed.

use super::VixError;

/// What is left of a body.
#[derive(Clone, Copy, Debug)]
pub(super) struct Fields<'a>(pub(super) &'a [u8]);

impl<'a> Fields<'a> {
    /// A field of the fixed part.
    pub(super) fn array<const LEN: usize>(&mut self) -> Result<[u8; LEN], VixError> {
        let (head, tail) = self.0.split_first_chunk().ok_or(VixError::INVALID_HEADER)?;
        self.0 = tail;
        Ok(*head)
    }

    /// A flag of one byte.
    pub(super) fn flag(&mut self) -> Result<bool, VixError> {
        self.array::<1>().map(|byte| byte != [0])
    }

    /// 32 bits.
    pub(super) fn word(&mut self) -> Result<u32, VixError> {
        self.array().map(u32::from_le_bytes)
    }

    /// 32 bits with a sign.
    pub(super) fn signed(&mut self) -> Result<i32, VixError> {
        self.array().map(i32::from_le_bytes)
    }

    /// 64 bits.
    pub(super) fn double(&mut self) -> Result<u64, VixError> {
        self.array().map(u64::from_le_bytes)
    }

    /// So many bytes of the variable part.
    pub(super) fn bytes(&mut self, len: u32) -> Result<&'a [u8], VixError> {
        let len = usize::try_from(len).map_err(|_| VixError::INVALID_BODY)?;
        let (head, tail) = self.0.split_at_checked(len).ok_or(VixError::INVALID_BODY)?;
        self.0 = tail;
        Ok(head)
    }

    /// A string of this length, and the NUL that follows and is not counted.
    pub(super) fn string(&mut self, len: u32) -> Result<&'a str, VixError> {
        let len = len.checked_add(1).ok_or(VixError::INVALID_BODY)?;
        self.counted_string(len)
    }

    /// A string whose length counts its NUL; 0 is none.
    pub(super) fn counted_string(&mut self, len: u32) -> Result<&'a str, VixError> {
        if len == 0 {
            return Ok("");
        }
        let text = terminated(self.bytes(len)?)?;
        if text.contains(&0) {
            return Err(VixError::INVALID_BODY);
        }
        std::str::from_utf8(text).map_err(|_| VixError::INVALID_UTF8)
    }

    /// So many strings one after the other, each with its NUL; all together this long.
    pub(super) fn strings(&mut self, count: u32, len: u32) -> Result<Vec<&'a str>, VixError> {
        let strings: Vec<&str> = if len == 0 {
            Vec::new()
        } else {
            let text = terminated(self.bytes(len)?)?;
            let text = std::str::from_utf8(text).map_err(|_| VixError::INVALID_UTF8)?;
            text.split('\0').collect()
        };
        if u32::try_from(strings.len()) != Ok(count) {
            return Err(VixError::INVALID_BODY);
        }
        Ok(strings)
    }
}

/// Without the NUL at its end.
fn terminated(bytes: &[u8]) -> Result<&[u8], VixError> {
    bytes.strip_suffix(b"\0").ok_or(VixError::INVALID_BODY)
}
