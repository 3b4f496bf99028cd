use super::*;
use crate::message::Notice;

#[test]
fn a_refusal_reads_back() {
    let refusal = Refusal {
        severity: Severity::Error,
        code: SqlState::INSUFFICIENT_PRIVILEGE,
        message: "no",
        detail: Some("because"),
        hint: None,
        position: Some(7),
    };
    let frame = refusal.to_frame();
    let notice = Notice::parse(&frame[5..]).unwrap();
    assert_eq!(
        (notice.code(), notice.field(b'M'), notice.is_fatal()),
        (Some("42501"), Some(b"no".as_slice()), false)
    );
    assert_eq!(
        (notice.field(b'D'), notice.field(b'H')),
        (Some(b"because".as_slice()), None)
    );
    assert_eq!(notice.field(b'P'), Some(b"7".as_slice()));
}

#[test]
fn a_scrubbed_message_has_none_of_the_values_it_came_with() {
    let kinds = b"SVCMDHPpqWstcdnFLRx";
    let mut body = Vec::new();
    for kind in kinds {
        body.push(*kind);
        body.extend_from_slice(b"123-45-6789\0");
    }
    body.push(0);
    let mut out = Vec::new();
    scrub(ServerTag::ErrorResponse, &body, &mut out).unwrap();
    assert!(!out.windows(4).any(|part| part == b"6789"), "{out:?}");
    assert!(Notice::parse(&out[5..]).is_ok());
}

#[test]
fn a_scrubbed_message_keeps_severity_code_and_position() {
    let mut out = Vec::new();
    scrub(
        ServerTag::NoticeResponse,
        b"SWARNUNG\0VWARNING\0C22012\0Mvalue\0P17\0Dvalue\0\0",
        &mut out,
    )
    .unwrap();
    let notice = Notice::parse(&out[5..]).unwrap();
    let told: Vec<_> = notice.fields().collect();
    let expected: [(u8, &[u8]); 5] = [
        (b'S', b"WARNING"),
        (b'V', b"WARNING"),
        (b'C', b"22012"),
        (b'M', SCRUBBED_MESSAGE.as_bytes()),
        (b'P', b"17"),
    ];
    assert_eq!(told, expected);
    assert!(scrub(ServerTag::ErrorResponse, b"SERROR", &mut Vec::new()).is_err());
}
