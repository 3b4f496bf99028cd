//! Every bound of this crate, with the reason for its size.

/// The server's own bound on a start-up packet (`MAX_STARTUP_PACKET_LENGTH`), length word included.
pub const STARTUP_PACKET_BYTES_MAX: usize = 10_000;

/// Query and Parse: the statement is parsed and judged whole, and the grammar's work grows with it.
pub const STATEMENT_BYTES_MAX: usize = 1 << 20;

/// Bind and FunctionCall are judged whole; uploads of a few megabytes in one parameter are common.
pub const BIND_BYTES_MAX: usize = 16 << 20;

/// Client messages that carry a name and little else; the server's own bound is 10,000 (`PQ_SMALL_MESSAGE_LIMIT`).
pub const SMALL_MESSAGE_BYTES_MAX: usize = 10_000;

/// Client answers to an authentication request; the server's own bound (`PG_MAX_AUTH_TOKEN_LENGTH`).
pub const AUTHENTICATION_BYTES_MAX: usize = 65_535;

/// A frame that is passed on in pieces occupies no memory of ours; the server's own bound is just
/// below 1 GiB (`PQ_LARGE_MESSAGE_LIMIT`).
pub const STREAMED_BYTES_MAX: usize = 0x3fff_fffe;

/// A DataRow that has to be seen whole because a column of it is masked.
pub const ROW_BYTES_MAX: usize = 16 << 20;

/// A client's CopyData that has to be seen whole.
pub const COPY_DATA_BYTES_MAX: usize = 1 << 20;

/// A server's CopyData that has to be seen whole: a row, in the text format with up to two bytes
/// for one, of which a column is masked.
pub const COPY_ROW_BYTES_MAX: usize = 2 * ROW_BYTES_MAX;

/// RowDescription: 1,664 columns (`MaxTupleAttributeNumber`) of a 63-byte name and 19 bytes more.
pub const ROW_DESCRIPTION_BYTES_MAX: usize = 256 << 10;

/// ParameterDescription: 65,535 types of 4 bytes, and a count.
pub const PARAMETER_DESCRIPTION_BYTES_MAX: usize = 512 << 10;

/// ErrorResponse and NoticeResponse can quote a whole statement, twice.
pub const NOTICE_BYTES_MAX: usize = 4 << 20;

/// ParameterStatus, NotificationResponse, Authentication and the like: names, settings, 8,000 bytes of payload.
pub const MEDIUM_MESSAGE_BYTES_MAX: usize = 64 << 10;

/// FunctionCallResponse, CommandComplete and empty answers: the longest legal command tag is 64 bytes.
pub const TINY_MESSAGE_BYTES_MAX: usize = 1 << 10;

/// An assembly buffer of at most this capacity is kept for the next frame; a larger one is freed,
/// so that an idle flow costs little.
pub const ASSEMBLY_BYTES_KEPT: usize = 4 << 10;

/// The server keeps 63 bytes of a statement's or portal's name (`NAMEDATALEN` − 1) and takes longer
/// names that agree in them for the same. Longer names are refused, so that no two of ours are one
/// of the server's.
pub const NAME_BYTES_MAX: usize = 63;

/// Named prepared statements of one session. Drivers' caches hold 100 to 1,000; some never close
/// what they prepare, and 10,000 of one session were seen. Each costs its text, twice, and its plan.
pub const STATEMENTS_MAX: usize = 16_384;

/// Named portals of one session. Drivers hold a few.
pub const PORTALS_MAX: usize = 1_024;

/// Requests whose answer has not come. A server sends its answers when 8 KiB of them have gathered,
/// that is at most 1,638 of the shortest: waiting at this bound can therefore not stall both sides.
pub const REQUESTS_MAX: usize = 8_192;

/// Columns of one result (`MaxTupleAttributeNumber`).
pub const COLUMNS_MAX: usize = 1_664;

/// EXECUTE of a statement that is itself an EXECUTE, FETCH from a cursor over one: followed this deep.
pub const INDIRECTION_MAX: usize = 4;

/// The longest cancel key of protocol 3.2.
pub const CANCEL_KEY_BYTES_MAX: usize = 256;

/// The shortest cancel key: protocol 3.0 has always 4 bytes.
pub const CANCEL_KEY_BYTES_MIN: usize = 4;

/// PBKDF2 iterations that a server may ask of us. PostgreSQL's default is 4,096; this many take
/// about 50 ms on the core that relays.
pub const SCRAM_ITERATIONS_MAX: u32 = 100_000;

/// Fewest iterations that we accept (RFC 7677 §4): with fewer, whoever poses as the server gets a
/// cheap target for a dictionary.
pub const SCRAM_ITERATIONS_MIN: u32 = 4_096;

/// A SCRAM message of a peer; PostgreSQL's have less than 200 bytes.
pub const SCRAM_MESSAGE_BYTES_MAX: usize = 4_096;
