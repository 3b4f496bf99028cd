//! Notices of Weir's own.

/// A NoticeResponse frame with this text (protocol chapter "Error and Notice Message Fields").
pub(crate) fn notice(text: &str) -> Vec<u8> {
    let mut body = Vec::with_capacity(text.len() + 64);
    for (field, value) in [
        (b'S', "NOTICE"),
        (b'V', "NOTICE"),
        (b'C', "00000"),
        (b'M', text),
    ] {
        body.push(field);
        body.extend(value.bytes().filter(|byte| *byte != 0));
        body.push(0);
    }
    body.push(0);
    let length = u32::try_from(body.len() + 4).unwrap_or(u32::MAX);
    let mut frame = vec![b'N'];
    frame.extend_from_slice(&length.to_be_bytes());
    frame.extend_from_slice(&body);
    frame
}
