//! Approvals that are asked for: when, and together with what.

use std::sync::Arc;

use weir_facts::{
    Access, Action, ConnectionName, Digest, FlowId, Group, OperationRef, OperationSeq, Resource,
    Verdict,
};
use weir_policy::JudgeContext;

use super::shown::on_column;
use super::{cx, groups, ids, judge, on_table, pg, snapshot, user};

pub(super) const HOLD: &str = "@id(\"yes\") permit(principal in Weir::Group::\"eng\", action, resource);\n\
    @id(\"drop\") @effect(\"approve\") @approvers(\"dba\") @quorum(\"2\") @expires(\"1h\") @reason(\"drops need a DBA\")\n\
    forbid(principal, action == Weir::Action::\"pg.drop_table\", resource)\n\
    unless { context.approvals.contains(Weir::Group::\"dba\") };\n\
    @id(\"truncate\") @effect(\"approve\") @approvers(\"owners\") @expires(\"10m\")\n\
    forbid(principal, action == Weir::Action::\"pg.truncate\", resource)\n\
    unless { context.approvals.contains(Weir::Group::\"owners\") };\n\
    @id(\"never\") @reason(\"never\") forbid(principal, action == Weir::Action::\"pg.truncate\", resource) when { context.in_transaction };";

#[test]
fn a_hold_asks_only_where_approval_would_help() {
    let snapshot = snapshot(HOLD);
    let Verdict::Hold(terms) = judge(&snapshot, &user(&["eng"]), Action::PgDropTable).verdict
    else {
        panic!()
    };
    assert_eq!(
        (terms.approvers, terms.quorum, terms.expires_s),
        (groups(&["dba"]), 2, 3600)
    );
    assert_eq!(&*terms.reason, "drops need a DBA");
    // Nothing permits: approval alone must not grant.
    assert!(matches!(
        judge(&snapshot, &user(&[]), Action::PgDropTable).verdict,
        Verdict::Deny(_)
    ));
    // A denial that no approval cures wins, and its reason is told.
    let inside = JudgeContext {
        in_transaction: true,
        ..cx()
    };
    let judgement = snapshot.judge(
        &user(&["eng"]),
        &pg(),
        &[on_table(Action::PgTruncate)],
        &inside,
    );
    let Verdict::Deny(denial) = &judgement.verdict else {
        panic!()
    };
    assert_eq!(&*denial.outside, "never");
    // One access that is denied denies the others' hold.
    let who = user(&["eng"]);
    let mixed = [on_table(Action::PgDropTable), on_table(Action::PgTruncate)];
    assert!(matches!(
        snapshot.judge(&who, &pg(), &mixed, &inside).verdict,
        Verdict::Deny(_)
    ));
}

#[test]
fn holds_of_one_operation_are_asked_for_together() {
    let snapshot = snapshot(HOLD);
    let accesses = [on_table(Action::PgDropTable), on_table(Action::PgTruncate)];
    let judgement = snapshot.judge(&user(&["eng"]), &pg(), &accesses, &cx());
    let Verdict::Hold(terms) = &judgement.verdict else {
        panic!()
    };
    assert_eq!(
        (&terms.approvers, terms.quorum, terms.expires_s),
        (&groups(&["dba", "owners"]), 2, 600)
    );
    assert_eq!(ids(&judgement), ["drop", "truncate"]);
    let approvals = groups(&["dba", "owners"]);
    let approved = JudgeContext {
        approvals: &approvals,
        ..cx()
    };
    let judgement = snapshot.judge(&user(&["eng"]), &pg(), &accesses, &approved);
    assert!(matches!(judgement.verdict, Verdict::Allow));
    assert!(
        !judgement.cacheable,
        "what approval allowed must not be remembered"
    );
}

#[test]
fn a_permit_comes_from_allow_alone_and_names_its_operation() {
    let snapshot = snapshot(HOLD);
    let operation = OperationRef {
        flow: FlowId(1),
        seq: OperationSeq(2),
        digest: Digest([3; 32]),
    };
    let permit = judge(&snapshot, &user(&["eng"]), Action::PgSelect)
        .permit(operation)
        .expect("allowed");
    assert_eq!(permit.operation(), operation);
    for action in [Action::PgDropTable, Action::PgTruncate] {
        assert_eq!(
            judge(&snapshot, &user(&["eng"]), action).permit(operation),
            None
        );
        assert_eq!(judge(&snapshot, &user(&[]), action).permit(operation), None);
    }
}

#[test]
fn inference_and_matching_can_be_held_for_approval() {
    let snapshot = snapshot(
        "@id(\"infer\") permit(principal, action == Weir::Action::\"pg.infer\", resource);\n\
         @id(\"hold\") @effect(\"approve\") @approvers(\"dba\") forbid(principal, action == Weir::Action::\"pg.infer\", resource)\n\
         unless { context.approvals.contains(Weir::Group::\"dba\") };",
    );
    for action in [Action::PgInfer, Action::PgMatch] {
        let access = [on_column(action, "ssn")];
        let judgement = snapshot.judge(&user(&[]), &pg(), &access, &cx());
        assert!(matches!(judgement.verdict, Verdict::Hold(_)), "{action}");
        let approvals = [Group("dba".into())];
        let approved = JudgeContext {
            approvals: &approvals,
            ..cx()
        };
        let judgement = snapshot.judge(&user(&[]), &pg(), &access, &approved);
        assert_eq!(judgement.verdict, Verdict::Allow, "{action}");
    }
}

/// A scope is asked for only where showing it would do: of the caller, or of the people who are
/// then asked.
#[test]
fn a_scope_is_asked_for_only_where_it_would_do() {
    let snapshot = snapshot(
        "@id(\"use\") permit(principal, action == Weir::Action::\"mcp.call_tool\", resource) when { principal in Weir::Group::\"eng\" };\n\
         @id(\"write\") @effect(\"step_up\") @scope(\"refunds:write\") @reason(\"writes\")\n\
         forbid(principal, action == Weir::Action::\"mcp.call_tool\", resource == Weir::Tool::\"mcp/refund\")\n\
         unless { context.scopes.contains(\"refunds:write\") };\n\
         @id(\"boss\") @effect(\"approve\") @approvers(\"boss\")\n\
         forbid(principal, action == Weir::Action::\"mcp.call_tool\", resource == Weir::Tool::\"mcp/refund\")\n\
         unless { context.approvals.contains(Weir::Group::\"boss\") };\n\
         @id(\"never\") forbid(principal, action == Weir::Action::\"mcp.call_tool\", resource == Weir::Tool::\"mcp/refund\")\n\
         when { principal in Weir::Group::\"interns\" };",
    );
    let scope = ["refunds:write".into()];
    let judge = |names: &[&str], tool: &str, scopes: &[Arc<str>]| {
        let access = Access {
            action: Action::McpCallTool,
            resource: Resource::Tool(tool.into()),
        };
        let on = ConnectionName::new("mcp");
        let cx = JudgeContext { scopes, ..cx() };
        snapshot.judge(&user(names), &on, &[access], &cx).verdict
    };
    assert_eq!(judge(&["eng"], "list", &[]), Verdict::Allow);
    let Verdict::Deny(denial) = judge(&["eng"], "refund", &[]) else {
        panic!("no token has the scope");
    };
    assert_eq!(
        (&denial.scopes[..], &*denial.outside),
        (&scope[..], "writes")
    );
    assert!(matches!(
        judge(&["eng"], "refund", &scope),
        Verdict::Hold(_)
    ));
    // Neither whom nothing permits nor whom something else forbids is sent for a scope.
    for names in [&["other"][..], &["eng", "interns"]] {
        let Verdict::Deny(denial) = judge(names, "refund", &[]) else {
            panic!("{names:?}");
        };
        assert!(denial.scopes.is_empty(), "{names:?}");
    }
}
