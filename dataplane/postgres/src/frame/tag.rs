use weir_facts::Side;

use crate::limits;

/// A message type byte of one side. What is not listed is an error.
pub trait Tag: Copy + Eq + std::fmt::Debug {
    /// Who sends it.
    const SIDE: Side;

    /// The type that the byte stands for (protocol chapter "Message Formats").
    fn from_byte(byte: u8) -> Option<Self>;

    /// The byte on the wire.
    fn byte(self) -> u8;

    /// The largest length word for a frame that is to be seen whole.
    fn whole_bytes_max(self) -> usize;

    /// Whether the body may be passed on in pieces.
    fn may_stream(self) -> bool;
}

macro_rules! tags {
    ($(#[$outer:meta])* $type:ident, $side:expr, { $($(#[$doc:meta])* $name:ident = $byte:literal, $max:ident;)+ }) => {
        $(#[$outer])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum $type {
            $($(#[$doc])* $name,)+
        }

        impl $type {
            /// Every type of this side.
            pub const ALL: &[Self] = &[$(Self::$name,)+];
        }

        impl Tag for $type {
            const SIDE: Side = $side;

            fn from_byte(byte: u8) -> Option<Self> {
                match byte {
                    $($byte => Some(Self::$name),)+
                    _ => None,
                }
            }

            fn byte(self) -> u8 {
                match self {
                    $(Self::$name => $byte,)+
                }
            }

            fn whole_bytes_max(self) -> usize {
                match self {
                    $(Self::$name => limits::$max,)+
                }
            }

            fn may_stream(self) -> bool {
                self.is_bulk()
            }
        }
    };
}

tags! {
    /// What a client sends after start-up.
    ClientTag, Side::Client, {
        /// Bind.
        Bind = b'B', BIND_BYTES_MAX;
        /// Close.
        Close = b'C', SMALL_MESSAGE_BYTES_MAX;
        /// CopyData.
        CopyData = b'd', COPY_DATA_BYTES_MAX;
        /// CopyDone.
        CopyDone = b'c', SMALL_MESSAGE_BYTES_MAX;
        /// CopyFail.
        CopyFail = b'f', SMALL_MESSAGE_BYTES_MAX;
        /// Describe.
        Describe = b'D', SMALL_MESSAGE_BYTES_MAX;
        /// Execute.
        Execute = b'E', SMALL_MESSAGE_BYTES_MAX;
        /// Flush.
        Flush = b'H', SMALL_MESSAGE_BYTES_MAX;
        /// FunctionCall.
        FunctionCall = b'F', BIND_BYTES_MAX;
        /// Parse.
        Parse = b'P', STATEMENT_BYTES_MAX;
        /// PasswordMessage, SASLInitialResponse, SASLResponse, GSSResponse.
        Authentication = b'p', AUTHENTICATION_BYTES_MAX;
        /// Query.
        Query = b'Q', STATEMENT_BYTES_MAX;
        /// Sync.
        Sync = b'S', SMALL_MESSAGE_BYTES_MAX;
        /// Terminate.
        Terminate = b'X', SMALL_MESSAGE_BYTES_MAX;
    }
}

tags! {
    /// What a server sends after start-up.
    ServerTag, Side::Server, {
        /// Authentication requests.
        Authentication = b'R', MEDIUM_MESSAGE_BYTES_MAX;
        /// BackendKeyData.
        BackendKeyData = b'K', TINY_MESSAGE_BYTES_MAX;
        /// BindComplete.
        BindComplete = b'2', TINY_MESSAGE_BYTES_MAX;
        /// CloseComplete.
        CloseComplete = b'3', TINY_MESSAGE_BYTES_MAX;
        /// CommandComplete.
        CommandComplete = b'C', TINY_MESSAGE_BYTES_MAX;
        /// CopyBothResponse (replication only).
        CopyBothResponse = b'W', MEDIUM_MESSAGE_BYTES_MAX;
        /// CopyData.
        CopyData = b'd', COPY_ROW_BYTES_MAX;
        /// CopyDone.
        CopyDone = b'c', TINY_MESSAGE_BYTES_MAX;
        /// CopyInResponse.
        CopyInResponse = b'G', MEDIUM_MESSAGE_BYTES_MAX;
        /// CopyOutResponse.
        CopyOutResponse = b'H', MEDIUM_MESSAGE_BYTES_MAX;
        /// DataRow.
        DataRow = b'D', ROW_BYTES_MAX;
        /// EmptyQueryResponse.
        EmptyQueryResponse = b'I', TINY_MESSAGE_BYTES_MAX;
        /// ErrorResponse.
        ErrorResponse = b'E', NOTICE_BYTES_MAX;
        /// FunctionCallResponse.
        FunctionCallResponse = b'V', ROW_BYTES_MAX;
        /// NegotiateProtocolVersion.
        NegotiateProtocolVersion = b'v', MEDIUM_MESSAGE_BYTES_MAX;
        /// NoData.
        NoData = b'n', TINY_MESSAGE_BYTES_MAX;
        /// NoticeResponse.
        NoticeResponse = b'N', NOTICE_BYTES_MAX;
        /// NotificationResponse.
        NotificationResponse = b'A', MEDIUM_MESSAGE_BYTES_MAX;
        /// ParameterDescription.
        ParameterDescription = b't', PARAMETER_DESCRIPTION_BYTES_MAX;
        /// ParameterStatus.
        ParameterStatus = b'S', MEDIUM_MESSAGE_BYTES_MAX;
        /// ParseComplete.
        ParseComplete = b'1', TINY_MESSAGE_BYTES_MAX;
        /// PortalSuspended.
        PortalSuspended = b's', TINY_MESSAGE_BYTES_MAX;
        /// ReadyForQuery.
        ReadyForQuery = b'Z', TINY_MESSAGE_BYTES_MAX;
        /// RowDescription.
        RowDescription = b'T', ROW_DESCRIPTION_BYTES_MAX;
    }
}

impl ClientTag {
    const fn is_bulk(self) -> bool {
        matches!(self, Self::CopyData)
    }
}

impl ServerTag {
    const fn is_bulk(self) -> bool {
        matches!(self, Self::DataRow | Self::CopyData)
    }
}

/// A set of types whose frames are passed on in pieces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Streamed<T> {
    one: Option<T>,
    two: Option<T>,
}

impl<T: Tag> Streamed<T> {
    /// Every frame is seen whole.
    pub const NONE: Self = Self {
        one: None,
        two: None,
    };

    /// Frames of one type. A type that may not be streamed is seen whole nevertheless.
    #[must_use]
    pub const fn only(tag: T) -> Self {
        Self {
            one: Some(tag),
            two: None,
        }
    }

    /// Frames of two types.
    #[must_use]
    pub const fn both(one: T, two: T) -> Self {
        Self {
            one: Some(one),
            two: Some(two),
        }
    }

    /// Whether frames of this type come in pieces.
    #[must_use]
    pub fn contains(self, tag: T) -> bool {
        tag.may_stream() && (self.one == Some(tag) || self.two == Some(tag))
    }
}
