//! The stream to the control plane: opened again and again with growing patience, so that a
//! data plane enforces without it and hears of changes as soon as it is back.

use std::time::Duration;

use anyhow::{Context, Result};
use tokio::sync::mpsc::{Sender, UnboundedSender, channel};
use tonic::transport::{Certificate, ClientTlsConfig, Endpoint};
use weir_api::limits::MESSAGE_BYTES_MAX;
use weir_api::v1;
use weir_api::v1::data_plane_client::DataPlaneClient;
use weir_handover::Control as Address;

use super::Internal;

/// First pause after a stream has ended; doubled up to the last.
const RETRY_FIRST: Duration = Duration::from_millis(50);
const RETRY_LAST: Duration = Duration::from_secs(5);

/// Messages on their way to the control plane.
const UPLINK_MESSAGES: usize = 1024;

/// Keeps a stream open for ever. What comes, and the end of each stream, is told to the control task.
pub(crate) async fn keep(address: Address, inbound: UnboundedSender<Internal>) {
    let mut pause = RETRY_FIRST;
    loop {
        match converse(&address, &inbound).await {
            Ok(()) => pause = RETRY_FIRST,
            Err(error) => {
                tracing::warn!(url = %address.url, error = %format!("{error:#}"), "no control plane")
            }
        }
        if inbound.send(Internal::Disconnected).is_err() {
            return;
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(RETRY_LAST);
    }
}

async fn converse(address: &Address, inbound: &UnboundedSender<Internal>) -> Result<()> {
    let mut endpoint = Endpoint::from_shared(address.url.clone())
        .context("address")?
        .connect_timeout(Duration::from_secs(5))
        .http2_keep_alive_interval(Duration::from_secs(10))
        .keep_alive_while_idle(true);
    if let Some(pem) = &address.ca_pem {
        let tls = ClientTlsConfig::new().ca_certificate(Certificate::from_pem(pem));
        endpoint = endpoint.tls_config(tls).context("certificates")?;
    }
    let connection = endpoint.connect().await.context("connect")?;
    let mut client = DataPlaneClient::new(connection)
        .max_decoding_message_size(MESSAGE_BYTES_MAX)
        .max_encoding_message_size(MESSAGE_BYTES_MAX);
    let (uplink, mut messages) = channel::<v1::FromDataPlane>(UPLINK_MESSAGES);
    // The first message must be in the stream before the server answers.
    if inbound.send(Internal::Connecting(uplink)).is_err() {
        return Ok(());
    }
    let outgoing = async_stream::stream! {
        while let Some(message) = messages.recv().await {
            yield message;
        }
    };
    let mut answers = client
        .stream(outgoing)
        .await
        .context("stream")?
        .into_inner();
    while let Some(message) = answers.message().await.context("stream")? {
        if inbound.send(Internal::Inbound(Box::new(message))).is_err() {
            return Ok(());
        }
    }
    Ok(())
}

/// What the control task sends with.
pub(crate) type Uplink = Sender<v1::FromDataPlane>;
