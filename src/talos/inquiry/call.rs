//! One gRPC call with the bytes of its messages, as they are.

use std::time::Duration;

use prost::Message;
use prost::bytes::{Buf, BufMut};
use tokio::time::timeout;
use tonic::client::Grpc;
use tonic::codec::{BufferSettings, Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::codegen::http::uri::PathAndQuery;
use tonic::{Code, Status, Streaming};

use super::ask::Ask;
use super::definitions;
use super::outlet::MOST_BYTES;
use super::trouble;
use crate::inquiry::{Trouble, TroubleKind};
use crate::talos::client::ThisMachine;
use crate::talos::error::Error;

/// How long the first answer may take: longer than machined holds a caller that it does not know yet.
const FIRST: Duration = Duration::from_secs(10);

/// Carries out a call and sends its messages.
pub(super) async fn relay(ask: &mut Ask, method: &str, message: Vec<u8>) -> Result<(), Trouble> {
    let Ok(path) = method.parse::<PathAndQuery>() else {
        let text = format!("{method} is no method");
        return Err(trouble::new(
            TroubleKind::NotSupported,
            Code::Unimplemented,
            text,
        ));
    };
    if ask.client.is_proxied() && method.starts_with("/cosi.resource.State/") {
        not_sensitive(ask, &message).await?;
    }
    let mut stream = match timeout(FIRST, open(ask, path, message)).await {
        Ok(stream) => stream?,
        Err(_) => return Err(trouble::too_slow()),
    };
    loop {
        match stream.message().await {
            Ok(Some(message)) => ask.outlet.message(message).await?,
            Ok(None) => return Ok(()),
            Err(status) => return Err(said(ask, &status)),
        }
    }
}

/// Through apid the certificate decides, and it may be an administrator's.
async fn not_sensitive(ask: &Ask, message: &[u8]) -> Result<(), Trouble> {
    let Ok(request) = Wanted::decode(message) else {
        return Err(trouble::new(
            TroubleKind::Failed,
            Code::InvalidArgument,
            "the request does not decode",
        ));
    };
    definitions::find_named(ask, &request.kind).await?;
    Ok(())
}

/// What Get, List and Watch have in common.
#[derive(Clone, PartialEq, Message)]
struct Wanted {
    #[prost(string, tag = "2")]
    kind: String,
}

async fn open(
    ask: &Ask,
    path: PathAndQuery,
    message: Vec<u8>,
) -> Result<Streaming<Vec<u8>>, Trouble> {
    let way = ask.client.way().await;
    let ThisMachine(channel) = way.map_err(|error| trouble::of(&error))?;
    let mut grpc = Grpc::new(channel).max_decoding_message_size(MOST_BYTES);
    grpc.ready().await.map_err(|error| {
        let status = Status::from_error(error.into());
        said(ask, &status)
    })?;
    let request = ask.client.reading_request(message);
    let answer = grpc.server_streaming(request, path, Bytes).await;
    match &answer {
        Ok(_) => tracing::debug!("Talos answered a relayed call"),
        Err(status) => tracing::debug!(code = ?status.code(), "a relayed call to Talos failed"),
    }
    let answer = answer.map_err(|status| said(ask, &status))?;
    Ok(answer.into_inner())
}

/// What Talos says of the call, in its own words.
fn said(ask: &Ask, status: &Status) -> Trouble {
    match ask.client.error("the relayed call", status) {
        // The connection, not the call.
        error @ (Error::Unreachable { .. }
        | Error::Tls { .. }
        | Error::Talosconfig(_)
        | Error::OtherMachine { .. }
        | Error::NotProven { .. }
        | Error::NoNode { .. }) => trouble::of(&error),
        _ => trouble::new(
            trouble::kind_of(status.code(), status.message()),
            status.code(),
            status.message(),
        ),
    }
}

/// Messages as bytes.
#[derive(Clone, Copy, Debug)]
struct Bytes;

/// First size of a call's buffer, and how much is collected before it is sent.
const BUFFER: (usize, usize) = (512, 32 << 10);

impl Codec for Bytes {
    type Encode = Vec<u8>;
    type Decode = Vec<u8>;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        Self
    }

    fn decoder(&mut self) -> Self {
        Self
    }
}

impl Encoder for Bytes {
    type Item = Vec<u8>;
    type Error = Status;

    fn encode(&mut self, message: Vec<u8>, into: &mut EncodeBuf<'_>) -> Result<(), Status> {
        into.put_slice(&message);
        Ok(())
    }

    fn buffer_settings(&self) -> BufferSettings {
        BufferSettings::new(BUFFER.0, BUFFER.1)
    }
}

impl Decoder for Bytes {
    type Item = Vec<u8>;
    type Error = Status;

    fn decode(&mut self, from: &mut DecodeBuf<'_>) -> Result<Option<Vec<u8>>, Status> {
        let mut message = vec![0; from.remaining()];
        from.copy_to_slice(&mut message);
        Ok(Some(message))
    }

    fn buffer_settings(&self) -> BufferSettings {
        BufferSettings::new(BUFFER.0, BUFFER.1)
    }
}
