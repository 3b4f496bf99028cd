//! The data planes' side: one stream each.

mod inbound;
mod log;
mod push;
mod pushed;
mod session;
mod stream;
mod tools;

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status, Streaming};
use weir_api::limits::MESSAGE_BYTES_MAX;
use weir_api::v1::data_plane_server::{DataPlane, DataPlaneServer};
use weir_api::v1::{FromDataPlane, Hello, ToDataPlane, from_data_plane::Message};

use crate::app::App;
use crate::limits::{HELLO_S_MAX, OUTBOUND_MAX};
use crate::metrics::Metrics;
use crate::secret::token_hash;
use crate::store::fleet;

/// The gRPC service.
pub(crate) struct Service(Arc<App>);

/// The service, with its limits.
pub(crate) fn service(app: Arc<App>) -> DataPlaneServer<Service> {
    DataPlaneServer::new(Service(app))
        .max_decoding_message_size(MESSAGE_BYTES_MAX)
        .max_encoding_message_size(MESSAGE_BYTES_MAX)
}

/// An error of ours as a stream's end: the log says what, the node only that.
pub(crate) fn internal(error: &crate::error::Error) -> Status {
    tracing::error!(%error, "stream failed");
    Status::internal("the control plane failed; its log says how")
}

#[tonic::async_trait]
impl DataPlane for Service {
    type StreamStream = ReceiverStream<Result<ToDataPlane, Status>>;

    async fn stream(
        &self,
        request: Request<Streaming<FromDataPlane>>,
    ) -> Result<Response<Self::StreamStream>, Status> {
        let inbound = request.into_inner();
        let (outbound, answers) = mpsc::channel(OUTBOUND_MAX);
        // The answer's head must go out before the node speaks: some clients wait for it.
        tokio::spawn(greet(Arc::clone(&self.0), inbound, outbound));
        Ok(Response::new(ReceiverStream::new(answers)))
    }
}

async fn greet(
    app: Arc<App>,
    mut inbound: Streaming<FromDataPlane>,
    outbound: crate::hub::Outbound,
) {
    let greeted = async {
        let hello = hello(&mut inbound).await?;
        authenticate(&app, &hello).await?;
        Ok::<Hello, Status>(hello)
    };
    let outcome = match greeted.await {
        Ok(hello) => stream::run(app, hello, inbound, outbound.clone()).await,
        Err(status) => Err(status),
    };
    if let Err(status) = outcome {
        // The node may be gone; then there is nobody to tell.
        let _ = outbound.try_send(Err(status));
    }
}

async fn hello(inbound: &mut Streaming<FromDataPlane>) -> Result<Hello, Status> {
    let first = tokio::time::timeout(Duration::from_secs(HELLO_S_MAX), inbound.message())
        .await
        .map_err(|_| Status::deadline_exceeded("no Hello"))??;
    match first.and_then(|first| first.message) {
        Some(Message::Hello(hello)) => Ok(hello),
        Some(_) | None => Err(Status::failed_precondition(
            "the first message must be Hello",
        )),
    }
}

async fn authenticate(app: &App, hello: &Hello) -> Result<(), Status> {
    let checked = async {
        let mut db = app.store.reader().await?;
        fleet::is_token(&mut db, &hello.node, &token_hash(&hello.token)).await
    };
    match checked.await {
        Ok(true) => Ok(()),
        Ok(false) => {
            Metrics::count(&app.metrics.logins_refused, 1);
            tracing::warn!(node = %hello.node.escape_debug(), "refused: unknown node or wrong token");
            Err(Status::unauthenticated("unknown node or wrong token"))
        }
        Err(error) => Err(internal(&error)),
    }
}
