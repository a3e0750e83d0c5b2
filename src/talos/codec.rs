//! Protobuf messages on gRPC streams, with buffers that fit what Talos sends.
//!
//! tonic keeps a buffer for each open stream, by default of 8 KiB. A watch is a stream that stays open for the life
//! of the node, there are many of them, and most resources have a few dozen bytes. A buffer grows when a larger
//! message comes.

use std::marker::PhantomData;

use prost::Message;
use tonic::codec::{BufferSettings, Codec};
use tonic_prost::{ProstCodec, ProstDecoder, ProstEncoder};

/// First size of a stream's buffer, bytes.
const BUFFER: usize = 512;
/// Bytes that are collected before they are sent; tonic's own value.
const YIELD: usize = 32 << 10;

/// tonic's codec for prost messages with small buffers. Named by the build script.
#[derive(Debug)]
pub struct LeanCodec<T, U>(PhantomData<(T, U)>);

impl<T, U> Default for LeanCodec<T, U> {
    fn default() -> Self {
        Self(PhantomData)
    }
}

impl<T, U> Codec for LeanCodec<T, U>
where
    T: Message + Send + 'static,
    U: Message + Default + Send + 'static,
{
    type Encode = T;
    type Decode = U;
    type Encoder = ProstEncoder<T>;
    type Decoder = ProstDecoder<U>;

    fn encoder(&mut self) -> Self::Encoder {
        ProstCodec::<T, U>::raw_encoder(BufferSettings::new(BUFFER, YIELD))
    }

    fn decoder(&mut self) -> Self::Decoder {
        ProstCodec::<T, U>::raw_decoder(BufferSettings::new(BUFFER, YIELD))
    }
}
