//! What a completion belongs to, packed into the ring's `user_data`.

/// What a completion belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Token {
    /// A connection on the listener of this index.
    Accept(u32),
    /// Data on the link in this slot.
    Receive(u32),
    /// A send of the link in this slot.
    Send(u32),
    /// The connect of the link in this slot.
    Connect(u32),
    /// The inbox was raised.
    Wake,
    /// The tick.
    Tick,
    /// A cancellation, or a time limit of another operation: its own result means nothing.
    Aside,
}

const KIND_SHIFT: u32 = 56;

impl Token {
    /// As `user_data`.
    pub(crate) const fn pack(self) -> u64 {
        let (kind, slot) = match self {
            Self::Accept(listener) => (1, listener),
            Self::Receive(slot) => (2, slot),
            Self::Send(slot) => (3, slot),
            Self::Connect(slot) => (4, slot),
            Self::Wake => (5, 0),
            Self::Tick => (6, 0),
            Self::Aside => (7, 0),
        };
        (kind << KIND_SHIFT) | slot as u64
    }

    /// From `user_data`; `None` is nothing that we ever submitted.
    pub(crate) const fn unpack(user_data: u64) -> Option<Self> {
        let slot = user_data as u32;
        Some(match user_data >> KIND_SHIFT {
            1 => Self::Accept(slot),
            2 => Self::Receive(slot),
            3 => Self::Send(slot),
            4 => Self::Connect(slot),
            5 => Self::Wake,
            6 => Self::Tick,
            7 => Self::Aside,
            _ => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::Token;

    #[test]
    fn every_token_reads_back_what_it_packs() {
        let slot = u32::MAX;
        for token in [
            Token::Accept(slot),
            Token::Receive(slot),
            Token::Send(0),
            Token::Connect(7),
            Token::Wake,
            Token::Tick,
            Token::Aside,
        ] {
            assert_eq!(Token::unpack(token.pack()), Some(token));
        }
    }

    #[test]
    fn a_number_that_nobody_submitted_is_no_token() {
        assert_eq!(Token::unpack(0), None);
        assert_eq!(Token::unpack(u64::MAX), None);
    }
}
