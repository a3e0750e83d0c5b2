//! Requests of the operations that are served.

use super::fields::Fields;
use super::header::Header;
use super::name::Name;
use super::status::Status;
use super::{
    CLOSE, CLOSE_V3, CREATE_SESSION, DESTROY_SESSION, GETATTR_V2, GETATTR_V3, LAST_OLD, OPEN,
    OPEN_V3, READ_V3, WRITE_V3,
};

/// HGFS_SESSION_MAXPACKETSIZE_VALID.
const MAX_PACKET_IS_VALID: u32 = 1;
/// sizeof HgfsCapability.
const CAPABILITY_LEN: u32 = 8;
/// What stands between flags and name in OpenV3: permissions, attributes, allocation, access, share, lock, reserved.
const OPEN_V3_REST: u32 = 48;
/// HGFS_ATTR_HINT_USE_FILE_DESC.
const HINT_USE_HANDLE: u64 = 4;
/// HGFS_WRITE_APPEND.
const WRITE_APPEND: u8 = 1;
/// HGFS_FILE_NAME_USE_FILE_DESC.
const NAME_IS_HANDLE: u32 = 1;

/// A request whose lengths agree with what was received.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Request<'a> {
    /// What its reply repeats.
    pub header: Header,
    /// What is wanted, or why it cannot be.
    pub call: Result<Call<'a>, Status>,
}

/// What is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Call<'a> {
    /// A new session.
    CreateSession {
        /// The longest packet that the host takes, if it says so.
        most_in_packet: Option<u32>,
    },
    /// The end of the session.
    DestroySession,
    /// A handle of a file.
    Open {
        /// The file.
        target: Target<'a>,
        /// Whether to read or write it.
        mode: Mode,
    },
    /// Bytes of a file.
    Read {
        /// The file.
        handle: u32,
        /// Where they begin.
        offset: u64,
        /// How many are wanted at most.
        size: u32,
    },
    /// Bytes for a file.
    Write {
        /// The file.
        handle: u32,
        /// Where they begin; behind all others if it does not say.
        offset: Option<u64>,
        /// The bytes.
        data: &'a [u8],
    },
    /// The end of a handle.
    Close {
        /// The handle.
        handle: u32,
    },
    /// The attributes of a file.
    Attributes {
        /// The file.
        target: Target<'a>,
    },
}

/// How a file is named.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target<'a> {
    /// It is open.
    Handle(u32),
    /// By its name.
    Name(Name<'a>),
}

/// How a file is to be opened (HgfsOpenMode and HgfsOpenFlags).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// To read what exists.
    Read,
    /// To write.
    Write,
    /// To read, but to create or empty it first; or a mode that there is not.
    Neither,
}

impl<'a> Request<'a> {
    /// Reads a packet, whatever it is.
    pub fn decode(packet: &'a [u8]) -> Self {
        let (mut header, payload) = Header::decode(packet);
        let call = match payload {
            Some(payload) => Call::decode(&mut header, payload),
            None => Err(Status::ProtocolError),
        };
        Self { header, call }
    }
}

impl<'a> Call<'a> {
    fn decode(header: &mut Header, payload: &'a [u8]) -> Result<Self, Status> {
        let fields = &mut Fields::new(payload);
        let call = match header.op {
            CREATE_SESSION => Self::create_session(fields),
            DESTROY_SESSION => fields.u64().map(|_| Self::DestroySession),
            OPEN => Self::open(inside(header, fields)),
            OPEN_V3 => Self::open_v3(fields),
            READ_V3 => Self::read(fields),
            WRITE_V3 => Self::write(fields),
            CLOSE => Self::close(inside(header, fields)),
            CLOSE_V3 => Self::close(Some(fields)).and_then(|call| fields.u64().map(|_| call)),
            GETATTR_V2 => Self::attributes_v2(inside(header, fields)),
            GETATTR_V3 => Self::attributes_v3(fields),
            _ => return Err(Status::NotSupported),
        };
        call.ok_or(Status::ProtocolError)
    }

    fn create_session(fields: &mut Fields<'a>) -> Option<Self> {
        let capabilities = fields.u32()?;
        let most = fields.u32()?;
        let is_valid = fields.u32()? & MAX_PACKET_IS_VALID != 0;
        let _reserved = fields.u32()?;
        let _capabilities = fields.bytes(capabilities.checked_mul(CAPABILITY_LEN)?)?;
        Some(Self::CreateSession {
            most_in_packet: is_valid.then_some(most),
        })
    }

    fn open(fields: Option<&mut Fields<'a>>) -> Option<Self> {
        let fields = fields?;
        let mode = Mode::of(fields.u32()?, fields.u32()?);
        let _permissions = fields.u8()?;
        Some(Self::Open {
            target: Target::Name(name(fields)?),
            mode,
        })
    }

    fn open_v3(fields: &mut Fields<'a>) -> Option<Self> {
        let _mask = fields.u64()?;
        let mode = Mode::of(fields.u32()?, fields.u32()?);
        let _rest = fields.bytes(OPEN_V3_REST)?;
        let target = name_v3(fields)?;
        Some(Self::Open { target, mode })
    }

    fn read(fields: &mut Fields<'a>) -> Option<Self> {
        let (handle, offset, size) = (fields.u32()?, fields.u64()?, fields.u32()?);
        let _reserved = fields.u64()?;
        Some(Self::Read {
            handle,
            offset,
            size,
        })
    }

    fn write(fields: &mut Fields<'a>) -> Option<Self> {
        let handle = fields.u32()?;
        let appends = fields.u8()? & WRITE_APPEND != 0;
        let (offset, size) = (fields.u64()?, fields.u32()?);
        let _reserved = fields.u64()?;
        let data = fields.bytes(size)?;
        Some(Self::Write {
            handle,
            offset: (!appends).then_some(offset),
            data,
        })
    }

    fn close(fields: Option<&mut Fields<'a>>) -> Option<Self> {
        let handle = fields?.u32()?;
        Some(Self::Close { handle })
    }

    fn attributes_v2(fields: Option<&mut Fields<'a>>) -> Option<Self> {
        let fields = fields?;
        let (hint, handle) = (fields.u64()?, fields.u32()?);
        let name = name(fields)?;
        let target = if hint & HINT_USE_HANDLE == 0 {
            Target::Name(name)
        } else {
            Target::Handle(handle)
        };
        Some(Self::Attributes { target })
    }

    fn attributes_v3(fields: &mut Fields<'a>) -> Option<Self> {
        let (_hint, _reserved) = (fields.u64()?, fields.u64()?);
        let target = name_v3(fields)?;
        Some(Self::Attributes { target })
    }
}

impl Mode {
    const fn of(mode: u32, flags: u32) -> Self {
        match (mode & 3, flags) {
            (0, 0) => Self::Read,
            (1 | 2, _) => Self::Write,
            _ => Self::Neither,
        }
    }
}

/// The fields of an old operation, behind the id and operation that it has inside.
fn inside<'f, 'a>(header: &mut Header, fields: &'f mut Fields<'a>) -> Option<&'f mut Fields<'a>> {
    debug_assert!(header.op <= LAST_OLD, "{} is no old operation", header.op);
    header.inner_id = fields.u32()?;
    let _op = fields.u32()?;
    Some(fields)
}

/// HgfsFileName. The NUL beyond the length is there or not.
fn name<'a>(fields: &mut Fields<'a>) -> Option<Name<'a>> {
    let len = fields.u32()?;
    fields.bytes(len).map(Name)
}

/// HgfsFileNameV3.
fn name_v3<'a>(fields: &mut Fields<'a>) -> Option<Target<'a>> {
    let (len, flags, _case, handle) = (fields.u32()?, fields.u32()?, fields.u32()?, fields.u32()?);
    let name = fields.bytes(len)?;
    Some(if flags & NAME_IS_HANDLE == 0 {
        Target::Name(Name(name))
    } else {
        Target::Handle(handle)
    })
}
