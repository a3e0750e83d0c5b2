//! Packets of a file transfer (hgfsProto.h), version 4 headers throughout, as the host sends them.

use super::{GuestClient, Refused, Relay};
use crate::Vmx;

/// Numbers of the operations (HGFS_OP_…).
pub mod op {
    #![allow(missing_docs)]
    pub const OPEN: u32 = 0;
    pub const CLOSE: u32 = 3;
    pub const GETATTR_V2: u32 = 15;
    pub const OPEN_V3: u32 = 24;
    pub const READ_V3: u32 = 25;
    pub const WRITE_V3: u32 = 26;
    pub const CLOSE_V3: u32 = 27;
    pub const SEARCH_OPEN_V3: u32 = 28;
    pub const SEARCH_READ_V3: u32 = 29;
    pub const SEARCH_CLOSE_V3: u32 = 30;
    pub const GETATTR_V3: u32 = 31;
    pub const CREATE_SESSION: u32 = 41;
    pub const DESTROY_SESSION: u32 = 42;
}

/// The longest packet that a host asks for.
pub const MOST_IN_PACKET: u32 = 0xF800;
/// What it reads and writes at a time.
pub const MOST_DATA: u32 = 61_440;

const HEADER: usize = 52;

/// A packet that asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Packet {
    /// Request id.
    pub id: u32,
    /// Operation.
    pub op: u32,
    /// Session; 0 before there is one.
    pub session: u64,
    /// What follows the header.
    pub payload: Vec<u8>,
}

/// A packet that answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// Request id.
    pub id: u32,
    /// Operation.
    pub op: u32,
    /// Status; 0 is success.
    pub status: u32,
    /// Session.
    pub session: u64,
    /// What follows the header.
    pub payload: Vec<u8>,
}

impl Packet {
    /// Its bytes.
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = vec![1, 0, 0, 0];
        let len = HEADER + self.payload.len();
        for word in [0xFF, len as u32, HEADER as u32, self.id, self.op, 0, 1, 0] {
            bytes.extend(word.to_le_bytes());
        }
        bytes.extend(self.session.to_le_bytes());
        bytes.extend([0; 8]);
        bytes.extend(&self.payload);
        bytes
    }
}

impl Answer {
    /// Reads one.
    ///
    /// # Errors
    /// [`Refused::Malformed`].
    pub fn decode(bytes: &[u8]) -> Result<Self, Refused> {
        let bad = |what: &str| Refused::Malformed(format!("hgfs: {what}"));
        let word = |at: usize| {
            bytes
                .get(at..at + 4)
                .map(|four| u32::from_le_bytes([four[0], four[1], four[2], four[3]]))
        };
        let mut words = (0..8).map(|n| word(4 + 4 * n).ok_or_else(|| bad("a short header")));
        let mut next = || words.next().unwrap_or_else(|| Err(bad("a short header")));
        let (marker, len, header, id, op, status, flags, _) = (
            next()?,
            next()?,
            next()?,
            next()?,
            next()?,
            next()?,
            next()?,
            next()?,
        );
        let session = bytes.get(36..44).and_then(|eight| eight.try_into().ok());
        let payload = bytes.get(HEADER..).ok_or_else(|| bad("a short header"))?;
        if bytes[0] != 1 || marker != 0xFF || header as usize != HEADER {
            return Err(bad("not a header of version 4"));
        }
        if len as usize != bytes.len() {
            return Err(bad("a length that lies"));
        }
        if flags != 2 {
            return Err(bad("not a reply"));
        }
        if len > MOST_IN_PACKET {
            return Err(bad("longer than what was agreed"));
        }
        Ok(Self {
            id,
            op,
            status,
            session: session
                .map(u64::from_le_bytes)
                .ok_or_else(|| bad("no session"))?,
            payload: payload.to_vec(),
        })
    }
}

/// A path as HGFS has it: `/a/b` is `root NUL a NUL b`.
pub fn name(path: &str) -> Vec<u8> {
    let mut name = b"root".to_vec();
    for part in path.split('/').filter(|part| !part.is_empty()) {
        name.push(0);
        name.extend(part.as_bytes());
    }
    name
}

/// A name with its length, of version 1 and 2.
pub fn name_v1(name: &[u8]) -> Vec<u8> {
    [&(name.len() as u32).to_le_bytes()[..], name, b"\0"].concat()
}

/// A name with its length, of version 3.
pub fn name_v3(name: &[u8]) -> Vec<u8> {
    [
        &(name.len() as u32).to_le_bytes()[..],
        &[0; 12],
        name,
        b"\0",
    ]
    .concat()
}

/// The payload of CreateSession.
pub fn create_session(most: u32) -> Vec<u8> {
    [0, most, 1, 0].map(u32::to_le_bytes).concat()
}

/// The payload of OpenV3, to read or to write.
pub fn open_v3(name: &[u8], to_write: bool) -> Vec<u8> {
    let mut payload = 0x803_u64.to_le_bytes().to_vec();
    payload.extend(u32::from(to_write).to_le_bytes());
    payload.extend([0; 52]);
    payload.extend(name_v3(name));
    payload
}

/// The payload of ReadV3.
pub fn read_v3(handle: u32, offset: u64, len: u32) -> Vec<u8> {
    let mut payload = handle.to_le_bytes().to_vec();
    payload.extend(offset.to_le_bytes());
    payload.extend(len.to_le_bytes());
    payload.extend([0; 8]);
    payload
}

/// The payload of WriteV3.
pub fn write_v3(handle: u32, offset: u64, data: &[u8]) -> Vec<u8> {
    let mut payload = handle.to_le_bytes().to_vec();
    payload.push(0);
    payload.extend(offset.to_le_bytes());
    payload.extend((data.len() as u32).to_le_bytes());
    payload.extend([0; 8]);
    payload.extend(data);
    payload
}

/// The payload of GetattrV2, by name.
pub fn getattr_v2(name: &[u8]) -> Vec<u8> {
    let mut payload = old(op::GETATTR_V2);
    payload.extend([0; 12]);
    payload.extend(name_v1(name));
    payload
}

/// The payload of Close.
pub fn close(handle: u32) -> Vec<u8> {
    let mut payload = old(op::CLOSE);
    payload.extend(handle.to_le_bytes());
    payload
}

/// The eight bytes before the fields of operations of version 1 and 2.
pub fn old(op: u32) -> Vec<u8> {
    [0, op].map(u32::to_le_bytes).concat()
}

/// A session, in which requests are numbered.
#[derive(Debug)]
pub struct Session<'c, 'a, R: Relay + ?Sized = Vmx> {
    client: &'c GuestClient<'a, R>,
    last: std::cell::Cell<u32>,
    /// Its number.
    pub id: u64,
    /// The operations that the guest announces.
    pub capabilities: Vec<(u32, u32)>,
}

impl<'c, 'a, R: Relay + ?Sized> Session<'c, 'a, R> {
    pub(super) fn open(client: &'c GuestClient<'a, R>) -> Result<Self, Refused> {
        let mut session = Self {
            client,
            last: std::cell::Cell::new(0),
            id: 0,
            capabilities: Vec::new(),
        };
        let answer = session.ask(op::CREATE_SESSION, create_session(MOST_IN_PACKET))?;
        let bad = || Refused::Malformed("hgfs: the answer to CreateSession".to_owned());
        let mut fields = Fields(&answer.payload);
        session.id = fields.double().ok_or_else(bad)?;
        let count = fields.word().ok_or_else(bad)?;
        let most = fields.word().ok_or_else(bad)?;
        if most > MOST_IN_PACKET {
            return Err(bad());
        }
        let (_offset, _flags, _reserved) = (fields.word(), fields.word(), fields.word());
        for _ in 0..count {
            let capability = (
                fields.word().ok_or_else(bad)?,
                fields.word().ok_or_else(bad)?,
            );
            session.capabilities.push(capability);
        }
        if !fields.0.is_empty() {
            return Err(bad());
        }
        Ok(session)
    }

    /// Asks, whatever the status.
    ///
    /// # Errors
    /// See [`Refused`].
    pub fn answer(&self, op: u32, payload: Vec<u8>) -> Result<Answer, Refused> {
        let id = self.last.get() + 1;
        self.last.set(id);
        let packet = Packet {
            id,
            op,
            session: self.id,
            payload,
        };
        let answer = Answer::decode(&self.client.packet(&packet.encode())?)?;
        if (answer.id, answer.op) != (id, op) {
            return Err(Refused::Malformed(format!(
                "hgfs: {answer:?} answers request {id}, op {op}"
            )));
        }
        Ok(answer)
    }

    /// Asks for what should succeed.
    ///
    /// # Errors
    /// Also [`Refused::Hgfs`].
    pub fn ask(&self, op: u32, payload: Vec<u8>) -> Result<Answer, Refused> {
        let answer = self.answer(op, payload)?;
        match answer.status {
            0 => Ok(answer),
            status => Err(Refused::Hgfs(status)),
        }
    }

    /// Type (0 file, 1 folder, 2 symbolic link) and size of a file.
    ///
    /// # Errors
    /// See [`Refused`].
    pub fn attributes(&self, path: &str) -> Result<(u32, u64), Refused> {
        let answer = self.ask(op::GETATTR_V2, getattr_v2(&name(path)))?;
        let bad = || Refused::Malformed("hgfs: the answer to Getattr".to_owned());
        let mut fields = Fields(answer.payload.get(8..).ok_or_else(bad)?);
        let mask = fields.double().ok_or_else(bad)?;
        let kind = fields.word().ok_or_else(bad)?;
        let size = fields.double().ok_or_else(bad)?;
        if mask & 3 != 3 || fields.0.len() < 104 - 20 + 4 {
            return Err(bad());
        }
        Ok((kind, size))
    }

    /// Opens a file: its handle.
    ///
    /// # Errors
    /// See [`Refused`].
    pub fn open_file(&self, path: &str, to_write: bool) -> Result<u32, Refused> {
        let answer = self.ask(op::OPEN_V3, open_v3(&name(path), to_write))?;
        let handle = Fields(&answer.payload).word();
        handle.ok_or_else(|| Refused::Malformed("hgfs: the answer to Open".to_owned()))
    }

    /// Reads once.
    ///
    /// # Errors
    /// See [`Refused`].
    pub fn read(&self, handle: u32, offset: u64, len: u32) -> Result<Vec<u8>, Refused> {
        let answer = self.ask(op::READ_V3, read_v3(handle, offset, len))?;
        let bad = || Refused::Malformed("hgfs: the answer to Read".to_owned());
        let mut fields = Fields(&answer.payload);
        let actual = fields.word().ok_or_else(bad)?;
        let _reserved = fields.double().ok_or_else(bad)?;
        // The struct that open-vm-tools sends may have a byte more.
        let data = fields.0.get(..actual as usize).ok_or_else(bad)?;
        if actual > len {
            return Err(bad());
        }
        Ok(data.to_vec())
    }

    /// Closes a file.
    ///
    /// # Errors
    /// See [`Refused`].
    pub fn close_file(&self, handle: u32) -> Result<(), Refused> {
        self.ask(op::CLOSE, close(handle)).map(drop)
    }

    /// A whole file: attributes, open, reads until the size or nothing, close. What comes is as long as was announced,
    /// but for an archive.
    ///
    /// # Errors
    /// See [`Refused`].
    pub fn read_whole(&self, path: &str) -> Result<Vec<u8>, Refused> {
        let (_, size) = self.attributes(path)?;
        let handle = self.open_file(path, false)?;
        let mut bytes = Vec::new();
        while (bytes.len() as u64) < size {
            let piece = self.read(handle, bytes.len() as u64, MOST_DATA)?;
            if piece.is_empty() {
                break;
            }
            bytes.extend(piece);
        }
        self.close_file(handle)?;
        if size < i64::MAX as u64 && bytes.len() as u64 != size {
            let came = bytes.len();
            return Err(Refused::Malformed(format!(
                "{path}: {came} bytes of {size}"
            )));
        }
        Ok(bytes)
    }

    /// Writes a whole file, asking again while nothing is taken.
    ///
    /// # Errors
    /// See [`Refused`].
    pub fn write_whole(&self, path: &str, bytes: &[u8]) -> Result<(), Refused> {
        let handle = self.open_file(path, true)?;
        let mut written = 0;
        while written < bytes.len() {
            let end = bytes.len().min(written + MOST_DATA as usize);
            let payload = write_v3(handle, written as u64, &bytes[written..end]);
            let answer = self.ask(op::WRITE_V3, payload)?;
            let actual = Fields(&answer.payload).word().unwrap_or_default() as usize;
            if actual == 0 {
                return Err(Refused::Malformed(
                    "hgfs: a write that takes nothing".to_owned(),
                ));
            }
            written += actual;
        }
        self.close_file(handle)
    }

    /// Ends it.
    ///
    /// # Errors
    /// See [`Refused`].
    pub fn close(&self) -> Result<(), Refused> {
        self.ask(op::DESTROY_SESSION, vec![0; 8]).map(drop)
    }
}

/// Little-endian fields, cut off the front.
#[derive(Debug)]
pub struct Fields<'b>(pub &'b [u8]);

impl Fields<'_> {
    /// 32 bits.
    pub fn word(&mut self) -> Option<u32> {
        let (head, tail) = self.0.split_first_chunk()?;
        self.0 = tail;
        Some(u32::from_le_bytes(*head))
    }

    /// 64 bits.
    pub fn double(&mut self) -> Option<u64> {
        let (head, tail) = self.0.split_first_chunk()?;
        self.0 = tail;
        Some(u64::from_le_bytes(*head))
    }
}
