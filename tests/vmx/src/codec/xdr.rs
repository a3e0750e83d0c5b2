//! A strict reader of XDR (RFC 4506): big-endian, units of four bytes, padding must be zero.

use super::Malformed;

/// What is left to read.
#[derive(Debug)]
pub struct Xdr<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Xdr<'a> {
    /// All of `bytes`; `what` in the other functions names the value in errors.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    fn take(&mut self, len: usize, what: &str) -> Result<&'a [u8], Malformed> {
        let end = self
            .at
            .checked_add(len)
            .filter(|&end| end <= self.bytes.len());
        let Some(end) = end else {
            return Err(Malformed(format!(
                "xdr: {what} at offset {} wants {len} bytes, {} are left",
                self.at,
                self.bytes.len() - self.at
            )));
        };
        let slice = &self.bytes[self.at..end];
        self.at = end;
        Ok(slice)
    }

    /// unsigned int, enum.
    pub fn u32(&mut self, what: &str) -> Result<u32, Malformed> {
        let slice = self.take(4, what)?;
        Ok(u32::from_be_bytes([slice[0], slice[1], slice[2], slice[3]]))
    }

    /// bool: 0 or 1.
    pub fn boolean(&mut self, what: &str) -> Result<bool, Malformed> {
        match self.u32(what)? {
            0 => Ok(false),
            1 => Ok(true),
            other => Err(Malformed(format!(
                "xdr: {what} is {other}, neither 0 nor 1"
            ))),
        }
    }

    /// `opaque<max>`.
    pub fn opaque(&mut self, max: usize, what: &str) -> Result<&'a [u8], Malformed> {
        let len = self.u32(what)? as usize;
        if len > max {
            return Err(Malformed(format!(
                "xdr: {what} has {len} bytes, at most {max} allowed"
            )));
        }
        let bytes = self.take(len, what)?;
        let padding = self.take(len.next_multiple_of(4) - len, what)?;
        if padding.iter().any(|&byte| byte != 0) {
            return Err(Malformed(format!("xdr: padding after {what} is not zero")));
        }
        Ok(bytes)
    }

    /// `string<max>`, UTF-8 without NUL.
    pub fn string(&mut self, max: usize, what: &str) -> Result<String, Malformed> {
        let bytes = self.opaque(max, what)?;
        if bytes.contains(&0) {
            return Err(Malformed(format!("xdr: {what} contains a NUL")));
        }
        String::from_utf8(bytes.to_vec())
            .map_err(|_| Malformed(format!("xdr: {what} is not UTF-8")))
    }

    /// An array of `char`, each in a word of its own, up to its NUL.
    pub fn wide_chars(&mut self, len: usize, what: &str) -> Result<String, Malformed> {
        let mut text = Vec::with_capacity(len);
        for _ in 0..len {
            let word = self.u32(what)?;
            text.push(u8::try_from(word).map_err(|_| {
                Malformed(format!(
                    "xdr: {what} holds {word:#x}, which is no character"
                ))
            })?);
        }
        let end = text.iter().position(|&byte| byte == 0).unwrap_or(len);
        String::from_utf8(text[..end].to_vec())
            .map_err(|_| Malformed(format!("xdr: {what} is not UTF-8")))
    }

    /// `T *`.
    pub fn option<T>(
        &mut self,
        what: &str,
        read: impl FnOnce(&mut Self) -> Result<T, Malformed>,
    ) -> Result<Option<T>, Malformed> {
        self.boolean(what)?.then(|| read(self)).transpose()
    }

    /// `T<max>`.
    pub fn array<T>(
        &mut self,
        max: usize,
        what: &str,
        mut read: impl FnMut(&mut Self) -> Result<T, Malformed>,
    ) -> Result<Vec<T>, Malformed> {
        let count = self.u32(what)? as usize;
        if count > max {
            return Err(Malformed(format!(
                "xdr: {count} {what}, at most {max} allowed"
            )));
        }
        (0..count).map(|_| read(self)).collect()
    }

    /// Nothing may be left over.
    pub fn finish(self) -> Result<(), Malformed> {
        match self.bytes.len() - self.at {
            0 => Ok(()),
            left => Err(Malformed(format!("xdr: {left} bytes after the end"))),
        }
    }
}
