use std::panic::{AssertUnwindSafe, catch_unwind};

use bytes::BytesMut;
use pgwire::messages::{
    DecodeContext, PgWireBackendMessage, PgWireFrontendMessage, ProtocolVersion,
};
use proptest::prelude::*;

use super::*;
use crate::frame::{ClientTag, HEADER_BYTES};
use crate::rows::Format;

/// What the independent decoder makes of a whole frame; a panic there is no answer.
fn oracle_client(frame: &[u8]) -> Option<PgWireFrontendMessage> {
    let mut context = DecodeContext::new(ProtocolVersion::PROTOCOL3_0);
    context.awaiting_frontend_ssl = false;
    context.awaiting_frontend_startup = false;
    let mut buffer = BytesMut::from(frame);
    let decoded = catch_unwind(AssertUnwindSafe(|| {
        PgWireFrontendMessage::decode(&mut buffer, &context)
    }));
    decoded.ok().and_then(Result::ok).flatten()
}

fn oracle_server(frame: &[u8]) -> Option<PgWireBackendMessage> {
    let mut context = DecodeContext::new(ProtocolVersion::PROTOCOL3_0);
    context.awaiting_frontend_ssl = false;
    context.awaiting_frontend_startup = false;
    let mut buffer = BytesMut::from(frame);
    let decoded = catch_unwind(AssertUnwindSafe(|| {
        PgWireBackendMessage::decode(&mut buffer, &context)
    }));
    decoded.ok().and_then(Result::ok).flatten()
}

fn bind_body(
    portal: &str,
    statement: &str,
    values: &[Option<Vec<u8>>],
    formats: &[bool],
) -> Vec<u8> {
    let mut body = Vec::new();
    put_string(&mut body, portal);
    put_string(&mut body, statement);
    body.extend_from_slice(&[0, 1, 0, 1]);
    body.extend_from_slice(&u16::try_from(values.len()).unwrap().to_be_bytes());
    for value in values {
        let length = value
            .as_ref()
            .map_or(-1, |value| i32::try_from(value.len()).unwrap());
        body.extend_from_slice(&length.to_be_bytes());
        body.extend_from_slice(value.as_deref().unwrap_or_default());
    }
    body.extend_from_slice(&u16::try_from(formats.len()).unwrap().to_be_bytes());
    formats
        .iter()
        .for_each(|format| body.extend_from_slice(&u16::from(*format).to_be_bytes()));
    body
}

proptest! {
    #[test]
    fn texts_agree_with_an_independent_decoder(name in "[a-zé]{0,9}", text in "[^\0]{1,30}") {
        let mut frame_bytes = Vec::new();
        Query { text: &text }.encode(&mut frame_bytes);
        let ours = Query::parse(&frame_bytes[HEADER_BYTES..]).unwrap();
        prop_assert_eq!(ours.text, &text);
        match oracle_client(&frame_bytes) {
            Some(PgWireFrontendMessage::Query(theirs)) => prop_assert_eq!(theirs.query, &text[..]),
            other => prop_assert!(false, "{:?}", other),
        }
        let mut frame_bytes = Vec::new();
        Parse::new(&name, &text).encode(&mut frame_bytes);
        let ours = Parse::parse(&frame_bytes[HEADER_BYTES..]).unwrap();
        prop_assert_eq!((ours.name, ours.text), (&name[..], &text[..]));
        match oracle_client(&frame_bytes) {
            Some(PgWireFrontendMessage::Parse(theirs)) => {
                prop_assert_eq!(theirs.name.unwrap_or_default(), &name[..]);
                prop_assert_eq!(theirs.query, &text[..]);
            }
            other => prop_assert!(false, "{:?}", other),
        }
    }

    #[test]
    fn binds_agree_with_an_independent_decoder(
        values in proptest::collection::vec(proptest::option::of(proptest::collection::vec(any::<u8>(), 0..9)), 0..6),
        formats in proptest::collection::vec(any::<bool>(), 0..5),
    ) {
        let body = bind_body("p", "s", &values, &formats);
        let ours = Bind::parse(&body).unwrap();
        let read: Vec<_> = ours.parameters.iter().map(|value| value.map(<[u8]>::to_vec)).collect();
        prop_assert_eq!(&read, &values);
        prop_assert!(ours.result_formats.fits(formats.len()));
        let mut frame_bytes = Vec::new();
        frame(ClientTag::Bind, &mut frame_bytes, |out| out.extend_from_slice(&body));
        match oracle_client(&frame_bytes) {
            Some(PgWireFrontendMessage::Bind(theirs)) => {
                let read: Vec<_> = theirs.parameters.iter().map(|value| value.as_ref().map(|value| value.to_vec())).collect();
                prop_assert_eq!(read, values);
                prop_assert_eq!(theirs.result_column_format_codes.len(), formats.len());
            }
            other => prop_assert!(false, "{:?}", other),
        }
    }

    #[test]
    fn descriptions_agree_with_an_independent_decoder(
        columns in proptest::collection::vec(("[a-z]{0,9}", any::<u32>(), any::<i16>(), any::<u32>(), any::<i32>()), 0..6),
    ) {
        let fields = columns.iter().map(|(name, relation_oid, attnum, type_oid, type_modifier)| Field {
            name: name.as_bytes(),
            relation_oid: *relation_oid,
            attnum: *attnum,
            type_oid: *type_oid,
            type_size: -1,
            type_modifier: *type_modifier,
            format: Format::Binary,
        });
        let mut frame_bytes = Vec::new();
        RowDescription::encode(fields.clone(), &mut frame_bytes);
        let ours = RowDescription::parse(&frame_bytes[HEADER_BYTES..]).unwrap();
        prop_assert_eq!(ours.fields().collect::<Vec<_>>(), fields.clone().collect::<Vec<_>>());
        match oracle_server(&frame_bytes) {
            Some(PgWireBackendMessage::RowDescription(theirs)) => {
                for (theirs, ours) in theirs.fields.iter().zip(fields) {
                    prop_assert_eq!(theirs.name.as_bytes(), ours.name);
                    prop_assert_eq!(theirs.table_id, ours.relation_oid.cast_signed());
                    prop_assert_eq!((theirs.column_id, theirs.type_id), (ours.attnum, ours.type_oid));
                    prop_assert_eq!(theirs.type_modifier, ours.type_modifier);
                }
            }
            other => prop_assert!(false, "{:?}", other),
        }
    }

    #[test]
    fn every_cut_and_every_addition_of_a_bind_is_an_error(
        values in proptest::collection::vec(proptest::option::of(proptest::collection::vec(any::<u8>(), 0..4)), 0..4),
    ) {
        let body = bind_body("p", "s", &values, &[true]);
        for cut in 0..body.len() {
            prop_assert!(Bind::parse(&body[..cut]).is_err());
        }
        let longer = [body, vec![0]].concat();
        prop_assert_eq!(Bind::parse(&longer), Err(MessageError::TrailingBytes));
    }

    #[test]
    fn no_body_makes_a_reader_panic(body in proptest::collection::vec(any::<u8>(), 0..48)) {
        let _ = (Query::parse(&body), Parse::parse(&body), Describe::parse(&body), Close::parse(&body));
        let _ = (Execute::parse(&body), CopyFail::parse(&body), SaslInitialResponse::parse(&body));
        let _ = (Authentication::parse(&body), BackendKeyData::parse(&body), CommandComplete::parse(&body));
        let _ = (CopyResponse::parse(&body), NegotiateProtocolVersion::parse(&body), ReadyForQuery::parse(&body));
        let _ = (NotificationResponse::parse(&body), ParameterStatus::parse(&body), ParameterDescription::parse(&body));
        if let Ok(bind) = Bind::parse(&body) {
            assert_eq!(bind.parameters.iter().count(), bind.parameters.len());
        }
        if let Ok(description) = RowDescription::parse(&body) {
            assert_eq!(description.fields().count(), description.len());
        }
        if let Ok(notice) = Notice::parse(&body) {
            let _ = (notice.code(), notice.is_fatal(), notice.fields().count());
        }
    }
}

#[test]
fn what_others_read_wrong_is_an_error() {
    // Without its zero byte; with one inside; with types announced and not sent; with a negative length.
    assert_eq!(Query::parse(b"select 1"), Err(MessageError::Unterminated));
    assert_eq!(
        Query::parse(b"select 1\0drop table x\0"),
        Err(MessageError::TrailingBytes)
    );
    assert_eq!(Query::parse(b"select '\xff'\0"), Err(MessageError::NotUtf8));
    assert_eq!(
        Parse::parse(b"\0select 1\0\0\x05"),
        Err(MessageError::Truncated)
    );
    assert_eq!(
        Parse::parse(b"\0select 1\0\0\0x"),
        Err(MessageError::TrailingBytes)
    );
    assert_eq!(
        Bind::parse(b"\0\0\0\0\0\x01\xff\xff\xff\xfe\0\0"),
        Err(MessageError::NegativeLength)
    );
    assert_eq!(
        Bind::parse(b"\0\0\0\0\0\x01\0\0\0\x10ab\0\0"),
        Err(MessageError::Truncated)
    );
    assert_eq!(
        Bind::parse(b"\0\0\0\x02\0\0\0\0\0\0\0\0"),
        Err(MessageError::FormatCount)
    );
    assert_eq!(
        Bind::parse(b"\0\0\0\x01\0\x02\0\0\0\0"),
        Err(MessageError::Format)
    );
    assert_eq!(
        Describe::parse(b"Xname\0"),
        Err(MessageError::Code(b'X'.into()))
    );
    assert_eq!(BackendKeyData::parse(&[0; 7]), Err(MessageError::Truncated));
    assert_eq!(
        BackendKeyData::parse(&[0; 261]),
        Err(MessageError::TrailingBytes)
    );
    assert_eq!(
        RowDescription::parse(&[0xff, 0xff]),
        Err(MessageError::TooMany)
    );
}
