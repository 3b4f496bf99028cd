use super::*;
use crate::json::Document;

fn id(json: &str) -> Id {
    Id::read(&Document::parse(json.as_bytes()).expect(json).root()).expect(json)
}

fn text(bytes: Vec<u8>) -> String {
    Document::parse(&bytes).expect("JSON");
    String::from_utf8(bytes).expect("UTF-8")
}

const TASK: Task<'static> = Task {
    id: "t.1",
    status: TaskStatus::Working,
    message: "waits for \"two\" people",
    created_us: 1_771_588_799_999_999,
    updated_us: 1_771_588_800_000_000,
    ttl_ms: 3_600_000,
    poll_ms: 5000,
};

#[test]
fn input_is_asked_for_by_key_and_state() {
    let url = Ask::Url {
        message: "Approve",
        url: "https://weir.example/a/1",
    };
    let form = Ask::Form { message: "Wait" };
    assert_eq!(
        text(input_required(
            &id("7"),
            &[("open", url), ("wait", form)],
            Some("s")
        )),
        r#"{"jsonrpc":"2.0","id":7,"result":{"resultType":"input_required","inputRequests":{"open":{"method":"elicitation/create","params":{"mode":"url","message":"Approve","url":"https://weir.example/a/1"}},"wait":{"method":"elicitation/create","params":{"mode":"form","message":"Wait","requestedSchema":{"type":"object","properties":{}}}}},"requestState":"s"}}"#
    );
    assert_eq!(
        text(input_required(&id("7"), &[], Some("s"))),
        r#"{"jsonrpc":"2.0","id":7,"result":{"resultType":"input_required","requestState":"s"}}"#
    );
}

#[test]
fn a_url_is_asked_for_in_the_words_of_2025_11_25() {
    assert_eq!(
        text(url_required(&id(r#""a""#), "Approve", "e-1", "https://w/1")),
        r#"{"jsonrpc":"2.0","id":"a","error":{"code":-32042,"message":"Approve","data":{"elicitations":[{"mode":"url","message":"Approve","elicitationId":"e-1","url":"https://w/1"}]}}}"#
    );
}

#[test]
fn a_task_is_told_in_the_words_of_each_revision() {
    assert_eq!(
        text(TASK.created(&id("1"), Revision::V2026_07_28)),
        r#"{"jsonrpc":"2.0","id":1,"result":{"resultType":"task","taskId":"t.1","status":"working","statusMessage":"waits for \"two\" people","createdAt":"2026-02-20T11:59:59Z","lastUpdatedAt":"2026-02-20T12:00:00Z","ttlMs":3600000,"pollIntervalMs":5000}}"#
    );
    assert_eq!(
        text(TASK.created(&id("1"), Revision::V2025_11_25)),
        r#"{"jsonrpc":"2.0","id":1,"result":{"task":{"taskId":"t.1","status":"working","statusMessage":"waits for \"two\" people","createdAt":"2026-02-20T11:59:59Z","lastUpdatedAt":"2026-02-20T12:00:00Z","ttl":3600000,"pollInterval":5000}}}"#
    );
    let done = Task {
        status: TaskStatus::Completed(br#"{"content":[]}"#),
        message: "",
        ..TASK
    };
    assert!(
        text(done.shown(&id("1"), Revision::V2026_07_28))
            .ends_with(r#""pollIntervalMs":5000,"result":{"content":[]}}}"#)
    );
    assert!(
        text(done.shown(&id("1"), Revision::V2025_11_25)).ends_with(r#""pollInterval":5000}}"#)
    );
}

#[test]
fn moments_are_of_the_calendar() {
    for (seconds, shown) in [
        (0, "1970-01-01T00:00:00Z"),
        (951_782_400, "2000-02-29T00:00:00Z"),
        (4_107_542_399, "2100-02-28T23:59:59Z"),
        (4_107_542_400, "2100-03-01T00:00:00Z"),
        (1_798_761_599, "2026-12-31T23:59:59Z"),
    ] {
        assert_eq!(timestamp(seconds * 1_000_000), shown);
    }
}
