//! Who may approve, that an approval is spent once, and that it outlives us.

mod support;

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use support::{Control, Node, request};
use weir_api::v1::{self, ApprovalState};

async fn decide(control: &Control, token: &str, id: &str, verb: &str) -> (StatusCode, Value) {
    let path = format!("/approvals/{id}/{verb}");
    control
        .ask(token, Method::POST, &path, json!({ "reason": "because" }))
        .await
}

#[tokio::test]
async fn an_approver_approves_and_the_operation_runs_once() {
    let control = Control::start().await;
    let (_, bob) = (
        control.person("alice", &[], &[]).await,
        control.person("bob", &[], &["dba"]).await,
    );
    let mut node = Node::new(&control.node("n1").await).await;
    let opened = node.request(request(1, "alice")).await;
    assert_eq!(
        (opened.id.as_str(), opened.state(), opened.error.as_str()),
        (&*format!("{:032x}", 1), ApprovalState::Pending, "")
    );

    let early = node.redeem(&opened.id, &[1; 32]).await;
    assert!(!early.ok, "nobody decided");
    let (status, told) = decide(&control, &bob, &opened.id, "approve").await;
    assert_eq!(
        (status, told["state"].as_str()),
        (StatusCode::OK, Some("approved")),
        "{told}"
    );
    let decision = node.decision().await;
    assert_eq!(
        (decision.state(), decision.approvers.clone()),
        (ApprovalState::Approved, vec!["bob".to_owned()])
    );
    assert_eq!(
        (decision.digest, decision.groups),
        (vec![1; 32], vec!["dba".to_owned()])
    );

    assert!(
        !node.redeem(&opened.id, &[2; 32]).await.ok,
        "another operation"
    );
    assert!(node.redeem(&opened.id, &[1; 32]).await.ok);
    let again = node.redeem(&opened.id, &[1; 32]).await;
    assert_eq!((again.ok, again.reason.as_str()), (false, "it was spent"));
}

#[tokio::test]
async fn nobody_approves_for_themselves_whatever_their_role() {
    let control = Control::start().await;
    let alice = control.person("alice", &["admin"], &["dba"]).await;
    let twin = control
        .account(json!({ "name": "alice-ops", "person": "alice", "groups": ["dba"] }))
        .await;
    let owner = control.person("olga", &["admin"], &["dba"]).await;
    let owner_twin = control
        .account(json!({ "name": "olga2", "person": "olga", "groups": ["dba"] }))
        .await;
    let service = control
        .account(json!({ "name": "svc", "is_service": true, "owner": "olga", "groups": ["dba"] }))
        .await;
    let stranger = control.person("sam", &["admin"], &[]).await;
    control
        .admin(
            Method::PUT,
            "/workloads",
            json!({ "name": "job", "uid": 1000, "owner": "olga" }),
        )
        .await;
    let mut node = Node::new(&control.node("n1").await).await;

    let by_alice = node.request(request(1, "alice")).await.id;
    let mut of_job = request(2, "x");
    of_job.principal = Some(v1::Principal {
        workload: Some(v1::Workload {
            name: "job".into(),
            uid: 1000,
            ..Default::default()
        }),
        identity: None,
        agent: String::new(),
    });
    // The node leaves the owner out; the control plane knows better.
    let by_job = node.request(of_job).await.id;
    let mut of_service = request(3, "svc");
    of_service
        .principal
        .as_mut()
        .expect("principal")
        .identity
        .as_mut()
        .expect("identity")
        .is_service = true;
    let by_service = node.request(of_service).await.id;

    let refused = [
        (&alice, &by_alice, "the requester"),
        (&twin, &by_alice, "the requester's other account"),
        (&service, &by_alice, "a service"),
        (&stranger, &by_alice, "an admin outside the group"),
        (&control.admin, &by_alice, "the first admin"),
        (&owner, &by_job, "the workload's owner"),
        (&owner_twin, &by_job, "the owner's other account"),
        (&owner, &by_service, "the service's owner"),
        (&service, &by_service, "the service itself"),
    ];
    for (token, id, who) in refused {
        for verb in ["approve", "deny"] {
            let (status, told) = decide(&control, token, id, verb).await;
            assert_eq!(status, StatusCode::FORBIDDEN, "{who} {verb}: {told}");
        }
    }
    for id in [&by_job, &by_service] {
        assert_eq!(
            decide(&control, &alice, id, "approve").await.0,
            StatusCode::OK,
            "somebody else may"
        );
    }
    assert_eq!(
        decide(&control, &owner, &by_alice, "approve").await.0,
        StatusCode::OK
    );
}

#[tokio::test]
async fn a_workload_without_owner_cannot_ask() {
    let control = Control::start().await;
    let mut node = Node::new(&control.node("n1").await).await;
    let mut of_nobody = request(1, "x");
    let workload = Some(v1::Workload {
        name: "uid:1000".into(),
        uid: 1000,
        ..Default::default()
    });
    of_nobody.principal = Some(v1::Principal {
        workload,
        identity: None,
        agent: String::new(),
    });
    let opened = node.request(of_nobody).await;
    assert_eq!(opened.state(), ApprovalState::Denied);
    assert!(opened.error.contains("owner"), "{}", opened.error);
    let unknown = node.request(request(2, "nobody")).await;
    assert!(unknown.error.contains("no account"), "{}", unknown.error);
}

#[tokio::test]
async fn a_person_of_another_issuer_asks_only_where_it_is_known_who_that_is() {
    let control = Control::start().await;
    let alice = control.person("alice", &[], &["dba"]).await;
    let mut node = Node::new(&control.node("n1").await).await;
    let foreign = |id: u8, subject: &str| {
        let mut request = request(id, subject);
        let principal = request.principal.as_mut().expect("a principal");
        principal.identity.as_mut().expect("an identity").issuer = "https://idp.example".into();
        request
    };
    // Whoever this is could have an account here, and approve.
    let unknown = node.request(foreign(1, "a1b2-c3")).await;
    assert_eq!(unknown.state(), ApprovalState::Denied);
    assert!(
        unknown.error.contains("weir account add a1b2-c3"),
        "{}",
        unknown.error
    );
    let known = node.request(foreign(2, "alice")).await;
    assert_eq!(known.state(), ApprovalState::Pending);
    let path = format!("/approvals/{}/approve", known.id);
    let (status, answer) = control
        .ask(&alice, Method::POST, &path, json!({ "reason": "mine" }))
        .await;
    assert_eq!(status, StatusCode::FORBIDDEN, "{answer}");
}

#[tokio::test]
async fn a_membership_made_after_the_request_does_not_count() {
    let control = Control::start().await;
    let (_, eve) = (
        control.person("alice", &[], &[]).await,
        control.person("eve", &[], &[]).await,
    );
    let mut node = Node::new(&control.node("n1").await).await;
    let id = node.request(request(1, "alice")).await.id;
    tokio::time::sleep(std::time::Duration::from_millis(1100)).await;
    control
        .admin(
            Method::PUT,
            "/accounts/eve/groups",
            json!({ "groups": ["dba"] }),
        )
        .await;
    let (status, told) = decide(&control, &eve, &id, "approve").await;
    assert_eq!(status, StatusCode::FORBIDDEN);
    assert!(
        told["message"]
            .as_str()
            .is_some_and(|m| m.contains("younger")),
        "{told}"
    );
}

#[tokio::test]
async fn two_groups_need_two_people_and_a_voter_who_leaves_does_not_count() {
    let control = Control::start().await;
    control.person("alice", &[], &[]).await;
    let both = control.person("both", &[], &["dba", "sec"]).await;
    let dba = control.person("dana", &[], &["dba"]).await;
    let sec = control.person("sean", &[], &["sec"]).await;
    let mut node = Node::new(&control.node("n1").await).await;
    let wanted = |id| v1::ApprovalRequest {
        approvers: vec!["dba".into(), "sec".into()],
        ..request(id, "alice")
    };
    let id = node.request(wanted(1)).await.id;
    let (_, told) = decide(&control, &both, &id, "approve").await;
    assert_eq!(told["state"], "pending", "one person is not two");
    assert_eq!(
        decide(&control, &both, &id, "approve").await.0,
        StatusCode::FORBIDDEN,
        "one vote each"
    );
    let (_, told) = decide(&control, &dba, &id, "approve").await;
    assert_eq!(told["state"], "approved", "{told}");

    let id = node.request(wanted(2)).await.id;
    decide(&control, &dba, &id, "approve").await;
    control
        .admin(Method::POST, "/accounts/dana/disable", Value::Null)
        .await;
    let (_, told) = decide(&control, &sec, &id, "approve").await;
    assert_eq!(
        told["state"], "pending",
        "the first voter was disabled: {told}"
    );
}

#[tokio::test]
async fn a_denial_needs_a_reason_and_ends_the_request() {
    let control = Control::start().await;
    let (_, bob) = (
        control.person("alice", &[], &[]).await,
        control.person("bob", &[], &["dba"]).await,
    );
    let mut node = Node::new(&control.node("n1").await).await;
    let id = node.request(request(1, "alice")).await.id;
    let (status, _) = control
        .ask(
            &bob,
            Method::POST,
            &format!("/approvals/{id}/deny"),
            json!({}),
        )
        .await;
    assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(decide(&control, &bob, &id, "deny").await.0, StatusCode::OK);
    let decision = node.decision().await;
    assert_eq!(
        (decision.state(), decision.reason.as_str()),
        (ApprovalState::Denied, "because")
    );
    assert_eq!(
        decide(&control, &bob, &id, "approve").await.0,
        StatusCode::CONFLICT
    );
    assert!(!node.redeem(&id, &[1; 32]).await.ok);
}

#[tokio::test]
async fn of_fifty_redeems_one_wins() {
    let control = Control::start().await;
    let (_, bob) = (
        control.person("alice", &[], &[]).await,
        control.person("bob", &[], &["dba"]).await,
    );
    let mut node = Node::new(&control.node("n1").await).await;
    let id = node.request(request(1, "alice")).await.id;
    decide(&control, &bob, &id, "approve").await;
    for _ in 0..50 {
        let redeem = v1::ApprovalRedeem {
            id: id.clone(),
            digest: vec![1; 32],
        };
        node.say(v1::from_data_plane::Message::ApprovalRedeem(redeem))
            .await;
    }
    let (mut won, mut answered) = (0, 0);
    while answered < 50 {
        if let v1::to_data_plane::Message::RedeemResult(result) = node.hear().await.expect("result")
        {
            answered += 1;
            won += u32::from(result.ok);
        }
    }
    assert_eq!(won, 1);
}

#[tokio::test]
async fn another_node_cannot_spend_what_was_given_to_this_one() {
    let control = Control::start().await;
    let (_, bob) = (
        control.person("alice", &[], &[]).await,
        control.person("bob", &[], &["dba"]).await,
    );
    let mut node = Node::new(&control.node("n1").await).await;
    let mut other = Node::new(&control.node("n2").await).await;
    let id = node.request(request(1, "alice")).await.id;
    decide(&control, &bob, &id, "approve").await;
    assert!(!other.redeem(&id, &[1; 32]).await.ok);
    assert!(node.redeem(&id, &[1; 32]).await.ok);
}

#[tokio::test]
async fn asking_again_meets_the_open_request_and_the_unspent_approval() {
    let control = Control::start().await;
    let (_, bob) = (
        control.person("alice", &[], &[]).await,
        control.person("bob", &[], &["dba"]).await,
    );
    control.person("carol", &[], &[]).await;
    let mut node = Node::new(&control.node("n1").await).await;
    let first = node.request(request(1, "alice")).await;
    let retry = v1::ApprovalRequest {
        id: format!("{:032x}", 99),
        ..request(1, "alice")
    };
    let met = node.request(retry.clone()).await;
    assert_eq!(
        (met.id.as_str(), met.state()),
        (first.id.as_str(), ApprovalState::Pending)
    );
    let carol = v1::ApprovalRequest {
        id: format!("{:032x}", 98),
        digest: vec![1; 32],
        ..request(2, "carol")
    };
    assert_ne!(node.request(carol).await.id, first.id, "another principal");

    decide(&control, &bob, &first.id, "approve").await;
    let met = node.request(retry.clone()).await;
    assert_eq!(
        (met.id.as_str(), met.state()),
        (first.id.as_str(), ApprovalState::Approved)
    );
    assert_eq!(node.decision().await.state(), ApprovalState::Approved);
    assert!(node.redeem(&first.id, &[1; 32]).await.ok);
    assert_eq!(
        node.request(retry).await.state(),
        ApprovalState::Pending,
        "a spent one is not met"
    );
}

#[tokio::test]
async fn a_pending_request_outlives_a_kill_and_its_decision_waits_for_the_node() {
    let mut control = Control::start().await;
    let (_, bob) = (
        control.person("alice", &[], &[]).await,
        control.person("bob", &[], &["dba"]).await,
    );
    let join = control.node("n1").await;
    let mut node = Node::new(&join).await;
    let id = node.request(request(1, "alice")).await.id;
    control.restart(true).await;
    drop(node);
    assert_eq!(
        decide(&control, &bob, &id, "approve").await.0,
        StatusCode::OK
    );
    control.restart(false).await;
    let mut node = Node::new(&join).await;
    let decision = node.decision().await;
    assert_eq!(
        (decision.id.as_str(), decision.state()),
        (id.as_str(), ApprovalState::Approved)
    );
    assert!(node.redeem(&id, &[1; 32]).await.ok);
}

#[tokio::test]
async fn requests_end_with_time_and_when_withdrawn() {
    let control = Control::start().await;
    let (_, bob) = (
        control.person("alice", &[], &[]).await,
        control.person("bob", &[], &["dba"]).await,
    );
    let mut node = Node::new(&control.node("n1").await).await;
    let short = node
        .request(v1::ApprovalRequest {
            expires_s: 1,
            ..request(1, "alice")
        })
        .await
        .id;
    let decision = node.decision().await;
    assert_eq!(
        (decision.id.as_str(), decision.state()),
        (short.as_str(), ApprovalState::Expired)
    );
    assert_eq!(
        decide(&control, &bob, &short, "approve").await.0,
        StatusCode::CONFLICT
    );

    let id = node.request(request(2, "alice")).await.id;
    node.say(v1::from_data_plane::Message::ApprovalWithdraw(
        v1::ApprovalWithdraw { id: id.clone() },
    ))
    .await;
    control
        .until(&format!("/approvals/{id}"), |approval| {
            approval["state"] == "withdrawn"
        })
        .await;
    assert_eq!(
        decide(&control, &bob, &id, "approve").await.0,
        StatusCode::CONFLICT
    );
}

#[tokio::test]
async fn malformed_requests_are_refused_and_the_stream_goes_on() {
    let control = Control::start().await;
    control.person("alice", &[], &[]).await;
    let mut node = Node::new(&control.node("n1").await).await;
    let good = || request(1, "alice");
    let wrong = [
        v1::ApprovalRequest {
            id: "x".into(),
            ..good()
        },
        v1::ApprovalRequest {
            id: format!("{:032X}", 0xab),
            ..good()
        },
        v1::ApprovalRequest {
            digest: vec![1; 31],
            ..good()
        },
        v1::ApprovalRequest {
            quorum: 0,
            ..good()
        },
        v1::ApprovalRequest {
            quorum: u32::MAX,
            ..good()
        },
        v1::ApprovalRequest {
            approvers: Vec::new(),
            ..good()
        },
        v1::ApprovalRequest {
            principal: None,
            ..good()
        },
        v1::ApprovalRequest {
            principal: Some(v1::Principal::default()),
            ..good()
        },
        v1::ApprovalRequest {
            operation: "x".repeat(20_000),
            ..good()
        },
    ];
    for wrong in wrong {
        let opened = node.request(wrong.clone()).await;
        assert_eq!(opened.state(), ApprovalState::Denied, "{wrong:?}");
    }
    assert_eq!(node.request(good()).await.state(), ApprovalState::Pending);
}

/// A call of a tool with a value that not everybody may see.
fn call(id: u8, subject: &str) -> v1::ApprovalRequest {
    v1::ApprovalRequest {
        connection: "crm".into(),
        operation: r#"tools/call refund {"cents":100,"ssn":"123-45-6789"}"#.into(),
        accesses: vec![v1::Access {
            action: "mcp.call_tool".into(),
            resource: "crm/refund".into(),
        }],
        approvers: vec!["leads".into()],
        definition: vec![7; 32],
        ..request(id, subject)
    }
}

#[tokio::test]
async fn an_approver_sees_of_a_call_what_policy_lets_them_see() {
    let control = Control::start().await;
    let crm = json!({ "name": "crm", "kind": "mcp", "addresses": ["192.0.2.9:80"], "tls": "disable", "unlabelled": "clear" });
    control.admin(Method::PUT, "/connections", crm).await;
    control.person("alice", &[], &[]).await;
    let clear = control.person("cleo", &[], &["leads", "pii"]).await;
    let masked = control.person("max", &[], &["leads", "readers"]).await;
    let nothing = control.person("ned", &[], &["leads"]).await;
    let mut node = Node::new(&control.node("n1").await).await;
    let id = node.request(call(1, "alice")).await.id;
    let path = format!("/approvals/{id}");
    // Without a policy nobody is known to be allowed to see anything.
    let shown = control.get(&clear, &path).await;
    assert!(!shown.to_string().contains("6789"), "{shown}");

    let cedar = r#"
        @id("read") permit(principal, action == Weir::Action::"mcp.reveal", resource)
        when { principal in Weir::Group::"readers" || principal in Weir::Group::"pii" };
        @id("ssn") @effect("mask") @mask("keep_last:4")
        forbid(principal, action == Weir::Action::"mcp.reveal", resource == Weir::DataClass::"ssn")
        unless { principal in Weir::Group::"pii" };
    "#;
    let masks = "[connection.crm]\nenv = \"\"\nunlabelled = \"clear\"\ndetectors = [\"ssn\"]\n";
    let files = json!([{ "path": "a.cedar", "content": cedar }, { "path": "masks.toml", "content": masks }]);
    let push = json!({ "files": files, "message": "masks" });
    control.admin(Method::POST, "/policy/push", push).await;
    let escaped = r#"tools/call refund {"ssn":"123\u002d45-6789"}"#;
    let request = v1::ApprovalRequest {
        operation: escaped.into(),
        digest: vec![2; 32],
        ..call(2, "alice")
    };
    let behind = format!("/approvals/{}", node.request(request).await.id);
    let withheld = r#"tools/call refund {"ssn":"[ssn withheld]"}"#;
    for (token, seen) in [(&clear, escaped), (&masked, withheld), (&nothing, withheld)] {
        assert_eq!(control.get(token, &behind).await["operation"], seen);
    }
    for (token, seen) in [
        (&clear, r#"{"cents":100,"ssn":"123-45-6789"}"#),
        (&masked, r#"{"cents":100,"ssn":"*******6789"}"#),
        (&nothing, r#"{"cents":100,"ssn":"[ssn withheld]"}"#),
    ] {
        let shown = control.get(token, &path).await;
        let operation = shown["operation"].as_str().expect("text");
        assert_eq!(operation, format!("tools/call refund {seen}"));
        assert_eq!(shown["definition"], "07".repeat(32));
        let listed = control.get(token, "/approvals").await;
        assert_eq!(listed[0]["operation"], operation);
        let (_, decided) = decide(&control, token, &id, "approve").await;
        assert!(
            token == &clear || !decided.to_string().contains("123-45"),
            "{decided}"
        );
    }
}

#[tokio::test]
async fn whoever_asks_again_is_told_what_was_decided() {
    let control = Control::start().await;
    control.person("alice", &[], &[]).await;
    let bob = control.person("bob", &[], &["dba"]).await;
    let mut node = Node::new(&control.node("n1").await).await;
    let denied = node.request(request(1, "alice")).await.id;
    decide(&control, &bob, &denied, "deny").await;
    assert_eq!(node.decision().await.state(), ApprovalState::Denied);
    for id in [2, 3] {
        let again = v1::ApprovalRequest {
            digest: vec![1; 32],
            ..request(id, "alice")
        };
        let opened = node.request(again).await;
        assert_eq!(
            (opened.id.as_str(), opened.state()),
            (denied.as_str(), ApprovalState::Denied)
        );
        let decision = node.decision().await;
        assert_eq!(
            (decision.id, decision.reason.as_str()),
            (denied.clone(), "because")
        );
    }
    // Another operation is another question.
    let opened = node.request(request(4, "alice")).await;
    assert_eq!(opened.state(), ApprovalState::Pending);

    let short = |id: u8| v1::ApprovalRequest {
        digest: vec![5; 32],
        expires_s: 1,
        ..request(id, "alice")
    };
    let first = node.request(short(5)).await.id;
    let expired = |all: &Value| {
        let all = all.as_array().expect("a list");
        all.iter()
            .any(|item| item["id"] == first.as_str() && item["state"] == "expired")
    };
    control.until("/approvals", expired).await;
    let told = node.request(short(6)).await;
    assert_eq!(
        (told.id.as_str(), told.state()),
        (first.as_str(), ApprovalState::Expired)
    );
    let anew = node.request(short(7)).await;
    assert_ne!(anew.id, first);
}
