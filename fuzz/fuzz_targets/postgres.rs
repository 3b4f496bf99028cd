#![no_main]
//! Frames of both sides from bytes cut where the first byte says, and the session behind them.

use libfuzzer_sys::fuzz_target;
use weir_postgres::frame::{ClientReader, ServerReader, Step, Streamed};
use weir_postgres::session::Session;
use weir_postgres::startup::PacketReader;

fuzz_target!(|data: &[u8]| {
    let Some((cut, data)) = data.split_first() else {
        return;
    };
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
