#![no_main]
//! Frames of both sides from bytes cut where the first byte says, and the session behind them;
//! the same bytes as rows of COPY in each format.

use libfuzzer_sys::fuzz_target;
use weir_postgres::frame::{ClientReader, ServerReader, Step, Streamed};
use weir_postgres::rows::{CopyForm, CopyHeader, CopyRows, Edit, Edited};
use weir_postgres::session::Session;
use weir_postgres::startup::PacketReader;

fuzz_target!(|data: &[u8]| {
    let Some((cut, data)) = data.split_first() else {
        return;
    };
    copied(*cut, data);
    let size = usize::from(*cut).max(1);
    let mut packets = PacketReader::new();
    for chunk in data.chunks(size) {
        let mut at = 0;
        while let Ok(Some(_)) = packets.next(chunk, &mut at) {}
    }
    let mut client = ClientReader::new();
    for chunk in data.to_vec().chunks_mut(size) {
        let mut at = 0;
        while let Ok(Some(_)) = client.next(chunk, &mut at, Streamed::NONE) {}
    }
    let mut server = ServerReader::new();
    let mut session = Session::<(), ()>::new();
    for chunk in data.to_vec().chunks_mut(size) {
        let mut at = 0;
        while let Ok(Some(step)) = server.next(chunk, &mut at, Streamed::NONE) {
            let Step::Frame(frame) = step else { continue };
            if session.on_server(frame.tag, frame.body()).is_err() {
                return;
            }
        }
    }
});

/// No row makes it panic; one that nobody edits is not touched; one that is written anew can be
/// read again.
fn copied(first: u8, data: &[u8]) {
    let count = usize::from(first >> 4);
    let form = match first & 3 {
        0 => CopyForm::Binary,
        1 => CopyForm::Text {
            delimiter: b'\t',
            null: b"\\N"[..].into(),
        },
        _ => CopyForm::Csv {
            delimiter: b',',
            null: b""[..].into(),
            quote: b'"',
            escape: if first & 1 == 0 { b'"' } else { b'\\' },
            quoted: if first & 4 == 0 { vec![0] } else { Vec::new() },
        },
    };
    let rows = CopyRows::new(form, count, CopyHeader::Absent);
    let (mut body, mut out) = (data.to_vec(), Vec::new());
    let kept = rows
        .clone()
        .edit(&mut body, 0..count, |_, _| Edit::InPlace, &mut out);
    assert!(body == data && out.is_empty());
    if kept != Ok(Edited::InPlace) {
        return;
    }
    let hide = |position: usize, value: &mut [u8]| match position % 3 {
        0 => Edit::Replace([&b"\"\\,\t\n"[..], value].concat()),
        1 => Edit::Null,
        _ => {
            value.fill(b'*');
            Edit::InPlace
        }
    };
    let edited = rows.clone().edit(&mut body, 0..count, hide, &mut out);
    let mut again = match edited {
        Ok(Edited::InPlace) => body,
        Ok(Edited::Rewritten) => out.split_off(5),
        Err(error) => panic!("read once, and then {error}"),
    };
    let mut out = Vec::new();
    let read = rows
        .clone()
        .edit(&mut again, 0..count, |_, _| Edit::InPlace, &mut out);
    assert_eq!(read, Ok(Edited::InPlace));
}
