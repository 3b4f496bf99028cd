//! What a server asks of Weir's own sessions: a password in the clear is not given but inside TLS
//! that was verified. `tokio-postgres` would answer whoever asks, so its stream is watched until
//! the server has accepted it.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// AuthenticationCleartextPassword.
const CLEARTEXT: u32 = 3;

/// Whether a password in the clear may be asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cleartext {
    Allowed,
    Refused,
}

/// Reads frames as they pass.
///
/// ```text
///   Ssl ── S ──▶ Passed (what follows is ciphertext)
///    └──── N ──▶ Head ── nine bytes ──▶ Skip ── the frame's rest ──▶ Head
///                 └──── AuthenticationOk ──▶ Passed
/// ```
pub(super) struct Answers {
    state: State,
    cleartext: Cleartext,
}

enum State {
    /// The one byte that answers SSLRequest.
    Ssl,
    /// Tag, length, and four bytes of what an authentication request asks.
    Head([u8; 9], usize),
    Skip(u32),
    Passed,
}

impl Answers {
    /// From the server's first frame on.
    pub(super) const fn begin(cleartext: Cleartext) -> Self {
        Self {
            state: State::Head([0; 9], 0),
            cleartext,
        }
    }

    /// Behind an SSLRequest: plaintext goes on only if the answer is no, and then nothing is
    /// verified.
    pub(super) const fn after_ssl_request() -> Self {
        Self {
            state: State::Ssl,
            cleartext: Cleartext::Refused,
        }
    }

    fn read(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        while let Some((&first, rest)) = bytes.split_first() {
            match &mut self.state {
                State::Passed => return Ok(()),
                State::Ssl => {
                    self.state = match first {
                        b'S' => State::Passed,
                        _ => State::Head([0; 9], 0),
                    };
                    bytes = rest;
                }
                State::Head(head, filled) => {
                    if let Some(place) = head.get_mut(*filled) {
                        *place = first;
                        *filled += 1;
                    }
                    bytes = rest;
                    self.judge_head()?;
                }
                State::Skip(left) => {
                    let taken = bytes.len().min(*left as usize);
                    *left -= u32::try_from(taken).unwrap_or(*left);
                    bytes = bytes.get(taken..).unwrap_or_default();
                    if *left == 0 {
                        self.state = State::Head([0; 9], 0);
                    }
                }
            }
        }
        Ok(())
    }

    /// A head that is whole decides what comes next.
    fn judge_head(&mut self) -> io::Result<()> {
        let State::Head(head, filled) = self.state else {
            return Ok(());
        };
        let [tag, l0, l1, l2, l3, c0, c1, c2, c3] = head;
        let length = u32::from_be_bytes([l0, l1, l2, l3]);
        match (tag, filled) {
            (b'R', 9) => match u32::from_be_bytes([c0, c1, c2, c3]) {
                0 => self.state = State::Passed,
                CLEARTEXT if self.cleartext == Cleartext::Refused => {
                    return Err(io::Error::new(
                        io::ErrorKind::PermissionDenied,
                        "the server asks for a cleartext password, which it gets inside verified TLS only (tls verify-full)",
                    ));
                }
                _ => self.skip(length.saturating_sub(8)),
            },
            (tag, 5) if tag != b'R' => self.skip(length.saturating_sub(4)),
            _ => {}
        }
        Ok(())
    }

    fn skip(&mut self, left: u32) {
        self.state = match left {
            0 => State::Head([0; 9], 0),
            left => State::Skip(left),
        };
    }
}

/// A stream whose incoming bytes are watched.
pub(super) struct Watched<S> {
    pub(super) stream: S,
    pub(super) answers: Answers,
}

impl<S: AsyncRead + Unpin> AsyncRead for Watched<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = buf.filled().len();
        let polled = Pin::new(&mut this.stream).poll_read(cx, buf);
        if let Poll::Ready(Ok(())) = polled {
            let new = buf.filled().get(before..).unwrap_or_default();
            if let Err(error) = this.answers.read(new) {
                return Poll::Ready(Err(error));
            }
        }
        polled
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Watched<S> {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().stream).poll_write(cx, buf)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(code: u32, more: &[u8]) -> Vec<u8> {
        let length = u32::try_from(8 + more.len()).expect("short");
        [
            b"R".as_slice(),
            &length.to_be_bytes(),
            &code.to_be_bytes(),
            more,
        ]
        .concat()
    }

    /// Feeds in pieces of every size; all must agree.
    fn read(begin: impl Fn() -> Answers, bytes: &[u8]) -> Result<(), io::ErrorKind> {
        let outcomes: Vec<_> = (1..=bytes.len())
            .map(|size| {
                let mut answers = begin();
                bytes
                    .chunks(size)
                    .try_for_each(|piece| answers.read(piece))
                    .map_err(|error| error.kind())
            })
            .collect();
        assert!(outcomes.iter().all(|outcome| *outcome == outcomes[0]));
        outcomes[0]
    }

    #[test]
    fn a_cleartext_password_is_asked_for_in_vain_however_the_bytes_come() {
        let refused = || Answers::begin(Cleartext::Refused);
        let denied = Err(io::ErrorKind::PermissionDenied);
        assert_eq!(read(refused, &ask(3, &[])), denied);
        let notice = [b"N".as_slice(), &7_u32.to_be_bytes(), b"R\0\0"].concat();
        assert_eq!(read(refused, &[notice, ask(3, &[])].concat()), denied);
        let scram = ask(10, b"SCRAM-SHA-256\0\0");
        assert_eq!(read(refused, &[scram, ask(3, &[])].concat()), denied);
        let after_no = [b"N".to_vec(), ask(3, &[])].concat();
        assert_eq!(read(Answers::after_ssl_request, &after_no), denied);
    }

    #[test]
    fn everything_else_passes() {
        let refused = || Answers::begin(Cleartext::Refused);
        assert_eq!(read(refused, &ask(5, b"salt")), Ok(()));
        // Behind AuthenticationOk the same bytes are anything.
        let accepted = [ask(0, &[]), ask(3, &[])].concat();
        assert_eq!(read(refused, &accepted), Ok(()));
        let allowed = || Answers::begin(Cleartext::Allowed);
        assert_eq!(read(allowed, &ask(3, &[])), Ok(()));
        // Behind `S` comes ciphertext.
        let after_yes = [b"S".to_vec(), ask(3, &[])].concat();
        assert_eq!(read(Answers::after_ssl_request, &after_yes), Ok(()));
    }
}
