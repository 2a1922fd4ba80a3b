//! A gRPC client over a unix socket: one channel, which connects when it is first used and again when it broke.
//!
//! Messages are declared by hand, with the few fields that are read: the two crates of generated code there are
//! generate it when they are built, by a `protoc` that the builder would have to install.
//!
//! Not here: what is asked.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use http::uri::PathAndQuery;
use tonic::client::Grpc;
use tonic::metadata::{Ascii, MetadataValue};
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Request, Status};
use tonic_prost::ProstCodec;

use super::ask::ANSWER_BYTES_MAX;
use super::miss::Miss;

/// The longest headers of an answer.
const HEADER_BYTES_MAX: u32 = 16 << 10;

/// The longest reason that is given, in characters.
const DETAIL_MAX: usize = 512;

/// A service on a unix socket.
pub(super) struct Service {
    socket: PathBuf,
    timeout: Duration,
    channel: Mutex<Option<Channel>>,
}

impl Service {
    pub(super) fn new(socket: PathBuf, timeout: Duration) -> Self {
        Self { socket, timeout, channel: Mutex::new(None) }
    }

    pub(super) fn socket(&self) -> &Path {
        &self.socket
    }

    /// Calls a method, for containerd in one of its namespaces.
    pub(super) async fn call<Q, A>(&self, method: &'static str, namespace: Option<&str>, question: Q) -> Result<A, Miss>
    where
        Q: prost::Message + Send + Sync + 'static,
        A: prost::Message + Default + Send + Sync + 'static,
    {
        let mut client = Grpc::new(self.channel()?).max_decoding_message_size(ANSWER_BYTES_MAX);
        client.ready().await.map_err(|e| self.unreachable(&e))?;
        let mut request = Request::new(question);
        if let Some(namespace) = namespace {
            // Only what can stand in a header is a namespace.
            let value: MetadataValue<Ascii> = namespace.parse().map_err(|_| Miss::NotKnown)?;
            request.metadata_mut().insert("containerd-namespace", value);
        }
        let codec = ProstCodec::<Q, A>::default();
        let answer = client.unary(request, PathAndQuery::from_static(method), codec).await;
        answer.map(tonic::Response::into_inner).map_err(|status| self.miss(&status))
    }

    fn channel(&self) -> Result<Channel, Miss> {
        if !self.socket.exists() {
            return Err(Miss::Absent);
        }
        let mut slot = self.channel.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(channel) = slot.as_ref() {
            return Ok(channel.clone());
        }
        let endpoint = Endpoint::from_shared(format!("unix://{}", self.socket.display()));
        let endpoint = endpoint.map_err(|e| self.unreachable(&e))?.timeout(self.timeout);
        let channel = endpoint.http2_max_header_list_size(HEADER_BYTES_MAX).connect_lazy();
        Ok(slot.insert(channel).clone())
    }

    fn miss(&self, status: &Status) -> Miss {
        match status.code() {
            Code::NotFound => Miss::NotKnown,
            // containerd with its Kubernetes part switched off.
            Code::Unimplemented => Miss::Absent,
            // The answer is longer than is read.
            Code::OutOfRange => Miss::Unusable(self.detail(status)),
            _ => self.unreachable(status),
        }
    }

    fn unreachable(&self, error: &dyn std::error::Error) -> Miss {
        Miss::Unreachable(self.detail(error))
    }

    fn detail(&self, error: &dyn std::error::Error) -> String {
        let mut detail = format!("{}: {error}", self.socket.display());
        let mut cause = error.source();
        while let Some(error) = cause {
            detail = format!("{detail}: {error}");
            cause = error.source();
        }
        // Part of it is the runtime's own text.
        detail.chars().take(DETAIL_MAX).collect()
    }
}
