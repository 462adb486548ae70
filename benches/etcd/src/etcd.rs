//! A minimal etcd client: gRPC over one HTTP/2 connection, and three requests.

use std::io;
use std::net::SocketAddr;

use bytes::{BufMut, Bytes, BytesMut};
use h2::client::{self, SendRequest};
use http::{Request, Version};
use tokio::net::TcpStream;

/// A connection to one node. Clones share it.
#[derive(Clone)]
pub(crate) struct Connection {
    sender: SendRequest<Bytes>,
    address: SocketAddr,
}

fn failed(error: impl std::fmt::Display) -> io::Error {
    io::Error::other(error.to_string())
}

/// Appends a length-delimited field in Protocol Buffers encoding.
fn field(number: u8, bytes: &[u8], into: &mut BytesMut) {
    into.put_u8(number << 3 | 2);
    let mut length = bytes.len();
    while length >= 0x80 {
        into.put_u8((length & 0x7f) as u8 | 0x80);
        length >>= 7;
    }
    into.put_u8(length as u8);
    into.put_slice(bytes);
}

/// Decodes the varint at the start of `bytes`; returns it with the remaining bytes.
fn varint(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let end = bytes.iter().take(10).position(|byte| byte & 0x80 == 0)?;
    let number = bytes[..=end].iter().rev().fold(0, |sum, byte| sum << 7 | u64::from(byte & 0x7f));
    Some((number, &bytes[end + 1..]))
}

/// Returns the varint field `number` and the bytes of the field `nested` of a message.
fn fields(mut bytes: &[u8], number: u64, nested: u64) -> (Option<u64>, Option<&[u8]>) {
    let (mut found, mut inside) = (None, None);
    while let Some((tag, rest)) = varint(bytes) {
        let Some((value, rest)) = varint(rest) else { break };
        bytes = rest;
        match tag & 7 {
            0 if tag >> 3 == number => found = Some(value),
            0 => {}
            2 => {
                let Some((content, rest)) = bytes.split_at_checked(value as usize) else { break };
                if tag >> 3 == nested {
                    inside = Some(content);
                }
                bytes = rest;
            }
            _ => break,
        }
    }
    (found, inside)
}

impl Connection {
    pub(crate) async fn open(address: SocketAddr) -> io::Result<Connection> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        let (sender, connection) = client::handshake(stream).await.map_err(failed)?;
        tokio::spawn(connection);
        Ok(Connection { sender, address })
    }

    pub(crate) async fn put(&mut self, key: &[u8], value: &[u8]) -> io::Result<()> {
        let mut request = BytesMut::new();
        field(1, key, &mut request);
        field(2, value, &mut request);
        self.request("KV/Put", &request).await.map(drop)
    }

    /// Sends a range request, which etcd makes linearizable by default.
    pub(crate) async fn get(&mut self, key: &[u8]) -> io::Result<()> {
        let mut request = BytesMut::new();
        field(1, key, &mut request);
        self.request("KV/Range", &request).await.map(drop)
    }

    /// Returns true if this node is the leader.
    pub(crate) async fn leads(&mut self) -> io::Result<bool> {
        let reply = self.request("Maintenance/Status", &[]).await?;
        let (leader, header) = fields(&reply, 4, 1);
        let (own, _) = fields(header.unwrap_or_default(), 2, 0);
        Ok(leader.is_some() && leader == own)
    }

    /// Sends one unary gRPC call, and returns the bytes of its reply message.
    async fn request(&mut self, method: &str, message: &[u8]) -> io::Result<Vec<u8>> {
        let request = Request::post(format!("http://{}/etcdserverpb.{method}", self.address))
            .version(Version::HTTP_2)
            .header("content-type", "application/grpc")
            .header("te", "trailers")
            .body(())
            .map_err(failed)?;
        let mut body = BytesMut::with_capacity(5 + message.len());
        body.put_u8(0);
        body.put_u32(message.len() as u32);
        body.put_slice(message);
        let mut sender = self.sender.clone().ready().await.map_err(failed)?;
        let (response, mut stream) = sender.send_request(request, false).map_err(failed)?;
        stream.send_data(body.freeze(), true).map_err(failed)?;
        let response = response.await.map_err(failed)?;
        let early = response.headers().get("grpc-status").cloned();
        let mut body = response.into_body();
        let mut reply = Vec::new();
        while let Some(chunk) = body.data().await {
            let chunk = chunk.map_err(failed)?;
            body.flow_control().release_capacity(chunk.len()).map_err(failed)?;
            reply.extend_from_slice(&chunk);
        }
        let trailers = body.trailers().await.map_err(failed)?;
        let status = early.or_else(|| trailers?.get("grpc-status").cloned());
        if status.as_ref().is_none_or(|status| status != "0") {
            return Err(failed(format_args!("{method} failed with gRPC status {status:?}")));
        }
        Ok(reply.split_off(5.min(reply.len())))
    }
}
